"""Sinusoids and polynomials: purity, distributions, and y from x in NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from data_generators import DataError, Polynomial, Sinusoid
from data_generators.polynomial import LARGEST_ORDER
from data_generators.random_streams import stream_id, uniform
from utils.command.ranges import RANGES

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
    traced = tf.function(lambda i: source.episodes("train", 3, i, **SIZES), autograph=False)
    for other in (again, traced(tf.constant(11)), traced(tf.constant(11, tf.int64))):
        for a, b in zip(first, other, strict=True):
            np.testing.assert_array_equal(a, b)


@each_source
def test_xla_draws_the_same_tasks_up_to_rounding(source):
    eager = source.episodes("val", 3, 11, **SIZES)
    compiled = tf.function(
        lambda i: source.episodes("val", 3, i, **SIZES), jit_compile=True, autograph=False
    )
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


@each_source
def test_a_held_out_task_is_the_same_in_any_batch(source):
    sizes = {"shot": 5, "query": 7}
    together = source.held_out("test", tf.range(20), **sizes)
    traced = tf.function(lambda numbers: source.held_out("test", numbers, **sizes), autograph=False)
    for numbers in ([3], [19, 0, 3], [7, 7]):
        for other in (source.held_out("test", tf.constant(numbers), **sizes), traced(numbers)):
            for a, b in zip(together, other, strict=True):
                # The last bit of a sine depends on its place among the others.
                np.testing.assert_allclose(np.asarray(a)[numbers], b, rtol=1e-5, atol=1e-7)


@each_source
@pytest.mark.parametrize("more", [{"shot": 20, "query": 7}, {"shot": 5, "query": 100}])
def test_a_held_out_task_has_the_same_function_for_any_number_of_points(source, more):
    few = source.held_out("val", tf.range(30), shot=5, query=7)
    many = source.held_out("val", tf.range(30), **more)
    for part in ("support_x", "support_y", "query_x", "query_y"):
        shown = getattr(few, part)
        np.testing.assert_allclose(
            shown, getattr(many, part)[:, : shown.shape[1]], rtol=1e-5, atol=1e-7
        )


@each_source
def test_held_out_tasks_and_their_points_differ_between_numbers_and_splits(source):
    points = [
        np.concatenate([x.support_x[..., 0], x.query_x[..., 0]], axis=1)
        for x in (source.held_out(s, tf.range(50), shot=5, query=7) for s in ("val", "test"))
    ]
    assert np.stack(points).shape == (2, 50, 12)
    assert len(np.unique(points)) == 2 * 50 * 12


def test_held_out_sinusoids_are_those_of_equation_25():
    episode = Sinusoid(oracle=True).held_out("test", tf.range(3000), shot=3, query=1)
    x, amplitude, frequency, phase = np.moveaxis(np.asarray(episode.support_x), -1, 0)
    np.testing.assert_allclose(
        episode.support_y[..., 0], amplitude * np.sin(frequency * x + phase), atol=1e-5
    )
    assert_uniform(x, -5, 5)
    for parameter, low, high in ((amplitude, 0.1, 5), (frequency, 0.8, 1.2), (phase, 0, np.pi)):
        assert np.all(parameter == parameter[:, :1])
        assert_uniform(parameter[:, 0], low, high)


def test_held_out_polynomials_have_uniform_coefficients():
    episode = Polynomial(2).held_out("test", tf.range(1000), shot=10, query=5)
    x, y = np.asarray(episode.support_x)[..., 0], np.asarray(episode.support_y)[..., 0]
    fitted = np.array(
        [np.polynomial.polynomial.polyfit(*task, 2) for task in zip(x, y, strict=True)]
    )
    assert_uniform(np.clip(fitted * [1, 2, 4], -1 - 1e-3, 1 + 1e-3), -1 - 1e-3, 1 + 1e-3)
    assert_uniform(x, -2, 2)


TRAINING_EPISODES = {
    Sinusoid(): [
        [3204610216, 3231424397],
        [1056415659, 1058980852],
        [3212205256, 3206026560],
        [3208508700, 3190972137],
    ],
    Polynomial(2): [
        [3220821128, 1071602320],
        [1062187786, 3209597113],
        [3215768258, 1064949160],
        [1059819489, 3202747411],
    ],
}


@pytest.mark.parametrize("source", TRAINING_EPISODES)
def test_training_episodes_are_those_of_earlier_versions_bit_for_bit(source):
    """As version 0.1.0 drew them; runs that it began go on with these."""
    episode = source.episodes("train", 0, 0, tasks=2, shot=1, query=1)
    drawn = [np.ravel(tensor).view(np.uint32).tolist() for tensor in episode]
    for numbers, stored in zip(drawn, TRAINING_EPISODES[source], strict=True):
        # The last bits of a sine may differ between processors.
        np.testing.assert_allclose(numbers, stored, rtol=0, atol=8)


def test_tasks_of_a_batch_and_their_points_differ():
    x = Sinusoid().episodes("train", 0, 0, **SIZES)
    points = np.concatenate([x.support_x, x.query_x], axis=1)
    assert len(np.unique(points)) == points.size


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


@pytest.mark.parametrize("order", [-1, 101, 10**6, 2.0, True, "3", None])
def test_an_order_that_no_polynomial_has_here_is_refused(order):
    assert RANGES["poly_order"] == (0, LARGEST_ORDER)
    with pytest.raises(DataError, match=rf"--poly_order must be .* 0 and 100, got {order!r}"):
        Polynomial(order)
