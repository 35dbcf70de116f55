"""Sinusoids and polynomials: purity, distributions, and y from x in NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from data_generators import DataError, Polynomial, Sinusoid
from data_generators.random_streams import stream_id, uniform

SOURCES = [Sinusoid(), Sinusoid(oracle=True), Polynomial(0), Polynomial(3)]
SIZES = {"tasks": 4, "shot": 5, "query": 7}

each_source = pytest.mark.parametrize(
    "source", SOURCES, ids=["sinusoid", "oracle", "polynomial0", "polynomial3"]
)


def assert_uniform(sample, low, high):
    assert sample.min() >= low
    assert sample.max() <= high
    assert stats.kstest(np.ravel(sample), "uniform", args=(low, high - low)).pvalue > 1e-3


@each_source
def test_shapes_are_those_that_the_attributes_promise(source):
    episode = source.episodes("train", 0, 0, **SIZES)
    assert episode.support_x.shape == (4, 5, *source.input_shape)
    assert episode.query_x.shape == (4, 7, *source.input_shape)
    assert episode.support_y.shape == (4, 5, source.output_size)
    assert episode.query_y.shape == (4, 7, source.output_size)
    assert all(tensor.dtype == tf.float32 for tensor in episode)
    assert not source.is_classification


@each_source
def test_same_arguments_give_the_same_bits(source):
    first = source.episodes("train", 3, 11, **SIZES)
    again = source.episodes("train", 3, 11, **SIZES)
    traced = tf.function(lambda i: source.episodes("train", 3, i, **SIZES))
    for other in (again, traced(tf.constant(11)), traced(tf.constant(11, tf.int64))):
        for a, b in zip(first, other, strict=True):
            np.testing.assert_array_equal(a, b)


@each_source
def test_xla_draws_the_same_tasks_up_to_rounding(source):
    eager = source.episodes("val", 3, 11, **SIZES)
    compiled = tf.function(lambda i: source.episodes("val", 3, i, **SIZES), jit_compile=True)
    for a, b in zip(eager, compiled(tf.constant(11)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@each_source
@pytest.mark.parametrize(
    "other", [("train", 3, 12), ("train", 4, 11), ("val", 3, 11), ("test", 3, 11)]
)
def test_another_iteration_seed_or_split_draws_other_tasks(source, other):
    one = source.episodes("train", 3, 11, **SIZES)
    two = source.episodes(*other, **SIZES)
    assert not np.intersect1d(one.support_x[..., 0], two.support_x[..., 0]).size
    assert not np.intersect1d(one.query_y, two.query_y).size


def test_tasks_of_a_batch_and_their_points_differ():
    x = Sinusoid().episodes("train", 0, 0, **SIZES)
    points = np.concatenate([x.support_x, x.query_x], axis=1)
    assert len(np.unique(points)) == points.size


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="train, val, test, got 'dev'"):
        Sinusoid().episodes("dev", 0, 0, **SIZES)


def test_random_numbers_are_the_same_on_every_machine():
    draw = uniform(stream_id("sinusoid", 0, "train"), 5, [4])
    stored = [16760009, 1640061, 4858331, 8068381]
    np.testing.assert_array_equal(np.asarray(draw) * 2**24, stored)


def test_random_numbers_are_uniform():
    draw = np.asarray(uniform(stream_id("sinusoid", 1, "train"), 0, [20000]))
    assert draw.max() < 1
    assert_uniform(draw, 0, 1)


def test_sinusoid_parameters_are_uniform_in_the_ranges_of_equation_25():
    episode = Sinusoid(oracle=True).episodes("train", 0, 0, tasks=3000, shot=3, query=1)
    x, amplitude, frequency, phase = np.moveaxis(np.asarray(episode.support_x), -1, 0)
    for parameter in (amplitude, frequency, phase):
        np.testing.assert_array_equal(parameter, np.repeat(parameter[:, :1], 3, axis=1))
    assert_uniform(x, -5, 5)
    assert_uniform(amplitude[:, 0], 0.1, 5)
    assert_uniform(frequency[:, 0], 0.8, 1.2)
    assert_uniform(phase[:, 0], 0, np.pi + 1e-6)
    correlation = np.corrcoef([amplitude[:, 0], frequency[:, 0], phase[:, 0], x[:, 0]])
    np.testing.assert_allclose(correlation, np.eye(4), atol=0.08)


def test_sinusoid_targets_follow_equation_25():
    episode = Sinusoid(oracle=True).episodes("train", 0, 0, **SIZES)
    for x, y in ((episode.support_x, episode.support_y), (episode.query_x, episode.query_y)):
        points, amplitude, frequency, phase = np.moveaxis(np.asarray(x, np.float64), -1, 0)
        expected = amplitude * np.sin(frequency * points + phase)
        np.testing.assert_allclose(y[..., 0], expected, atol=1e-5)


def test_the_oracle_sees_the_same_tasks_as_the_others():
    plain = Sinusoid().episodes("test", 1, 2, **SIZES)
    oracle = Sinusoid(oracle=True).episodes("test", 1, 2, **SIZES)
    np.testing.assert_array_equal(plain.support_x[..., 0], oracle.support_x[..., 0])
    np.testing.assert_array_equal(plain.query_y, oracle.query_y)


@pytest.mark.parametrize("order", [0, 1, 3, 5])
def test_polynomial_coefficients_are_recovered_by_fitting(order):
    episode = Polynomial(order).episodes("train", 0, 0, tasks=500, shot=30, query=10)
    fitted = []
    for task in range(500):
        x, y = (
            np.asarray(t[task, :, 0], np.float64) for t in (episode.support_x, episode.support_y)
        )
        powers = np.polynomial.polynomial.polyfit(x, y, order)
        fitted.append(powers * 2.0 ** np.arange(order + 1))
        query = np.polynomial.polynomial.polyval(episode.query_x[task, :, 0].numpy(), powers)
        np.testing.assert_allclose(episode.query_y[task, :, 0], query, atol=1e-4)
    assert_uniform(np.asarray(episode.support_x), -2, 2)
    for coefficient in np.transpose(fitted):
        assert_uniform(np.clip(coefficient, -1 - 1e-3, 1 + 1e-3), -1 - 1e-3, 1 + 1e-3)


def test_a_negative_order_is_refused():
    with pytest.raises(DataError, match=r"--poly_order must be 0 or more, got -1"):
        Polynomial(-1)
