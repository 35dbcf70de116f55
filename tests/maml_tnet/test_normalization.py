import numpy as np
import pytest
import tensorflow as tf
from component_contract import check_call_modes, check_configuration_round_trip

from maml_tnet.normalization import TaskBatchNormalization, TaskLayerNormalization

SHAPE = [5, 4, 3, 2, 6]  # examples, height, width, tasks, features
AXES = {TaskBatchNormalization: (0, 1, 2), TaskLayerNormalization: (1, 2, 4)}


@pytest.fixture(params=AXES)
def cls(request):
    return request.param


def build(cls, rng, **kwargs):
    layer = cls(**kwargs)
    layer.build([None, *SHAPE[1:]])
    layer.beta.assign(rng.normal(size=SHAPE[-1]))
    return layer


def test_call_gives_the_same_in_every_mode(cls, rng):
    check_call_modes(build(cls, rng), tf.constant(rng.normal(size=SHAPE), "float32"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_configuration_round_trip(cls, rng, dtype):
    x = tf.constant(rng.normal(size=SHAPE), dtype)
    check_configuration_round_trip(build(cls, rng, epsilon=0.01, dtype=dtype), x)


@pytest.mark.parametrize("epsilon", [1e-3, 0.1])
def test_output_is_normalized_by_the_statistics_of_the_batch(cls, rng, epsilon):
    layer = build(cls, rng, epsilon=epsilon, dtype="float64")
    x = rng.normal(loc=3.0, scale=[[1.0], [5.0]], size=SHAPE)
    mean = x.mean(AXES[cls], keepdims=True)
    variance = x.var(AXES[cls], keepdims=True)
    expected = (x - mean) / np.sqrt(variance + epsilon) + layer.beta.numpy()
    np.testing.assert_allclose(layer(tf.constant(x)), expected, rtol=1e-10, atol=1e-12)


def test_epsilon_is_a_thousandth(cls):
    assert cls().epsilon == 1e-3


def test_only_an_offset_is_learned_and_nothing_is_remembered(cls, rng):
    layer = build(cls, rng)
    assert [tuple(w.shape) for w in layer.weights] == [(SHAPE[-1],)]
    x = tf.constant(rng.normal(size=SHAPE), "float32")
    first = layer(x)
    layer(x + 100.0)
    np.testing.assert_array_equal(layer(x), first)


def test_tasks_do_not_share_statistics(cls, rng):
    layer = build(cls, rng)
    x = rng.normal(size=SHAPE).astype("float32")
    alone = layer(tf.constant(x[:, :, :, :1]))
    np.testing.assert_allclose(layer(tf.constant(x))[:, :, :, :1], alone, rtol=1e-5, atol=1e-6)
