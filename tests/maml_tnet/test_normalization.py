import numpy as np
import pytest
import tensorflow as tf
from component_contract import check_call_modes, check_configuration_round_trip

from maml_tnet.normalization import (
    TaskBatchNormalization,
    TaskLayerNormalization,
    patch_statistics,
    standardize,
)

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


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
def test_hand_written_gradient_equals_the_automatic_one_to_third_order(cls, rng, compiled):
    axes = list(AXES[cls])
    x = tf.constant(rng.normal(size=SHAPE))
    factors = tf.constant(rng.normal(size=SHAPE))

    def automatic(x):
        centered = x - tf.reduce_mean(x, axes, keepdims=True)
        scale = 1 / tf.sqrt(tf.reduce_mean(centered**2, axes, keepdims=True) + 0.1)
        return centered * scale, scale

    def derivative(function, x, order):
        if order == 0:
            z, scale = function(x)
            return tf.reduce_sum(tf.sin(z) * factors) + tf.reduce_sum(scale**3)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = derivative(function, x, order - 1)
        return tf.reduce_sum(tf.cos(tape.gradient(value, x)) * factors)

    def up_to_third_order(function):
        return [derivative(function, x, order) for order in range(4)]

    run = tf.function(up_to_third_order) if compiled else up_to_third_order
    ours = run(lambda x: standardize(x, axes, 0.1))
    np.testing.assert_allclose(ours, run(automatic), rtol=1e-9)


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


@pytest.mark.parametrize(("size", "strides"), [(3, 1), (3, 2), (5, 2)])
def test_folded_kernel_equals_convolution_then_batch_normalization(rng, size, strides):
    tasks, examples, channels, features = 3, 5, 2, 6
    images = rng.uniform(size=[tasks, examples, 9, 8, channels])
    kernel = rng.normal(size=[size, size, channels, tasks, features])
    layer = build(TaskBatchNormalization, rng, dtype="float64")

    statistics = patch_statistics(tf.constant(images), size, strides)
    folded, offset = layer.fold(tf.constant(kernel), statistics)
    for task in range(tasks):
        own = tf.constant(images[task])
        y = tf.nn.conv2d(own, tf.constant(kernel[..., task, :]), strides, "SAME").numpy()
        mean, variance = y.mean((0, 1, 2)), y.var((0, 1, 2))
        expected = (y - mean) / np.sqrt(variance + 1e-3) + layer.beta.numpy()
        fused = tf.nn.conv2d(own, folded[..., task, :], strides, "SAME") + offset[task]
        np.testing.assert_allclose(fused, expected, rtol=1e-9, atol=1e-10)


def test_patch_statistics_are_those_of_the_padded_patches(rng):
    images = rng.uniform(size=[2, 4, 5, 6, 2])
    mean, covariance = patch_statistics(tf.constant(images), 3, 1)
    padded = np.pad(images, [(0, 0), (0, 0), (1, 1), (1, 1), (0, 0)])
    for task in range(2):
        patches = np.array(
            [
                padded[task, n, i : i + 3, j : j + 3].ravel()
                for n in range(4)
                for i in range(5)
                for j in range(6)
            ]
        )
        np.testing.assert_allclose(mean[task], patches.mean(0), rtol=1e-12)
        np.testing.assert_allclose(
            covariance[task], np.cov(patches, rowvar=False, bias=True), rtol=1e-10, atol=1e-12
        )
