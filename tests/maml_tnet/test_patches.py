"""Patches against TensorFlow's own, and their gradients against finite differences."""

import numpy as np
import pytest
import tensorflow as tf

from maml_tnet.patches import unfold

SHAPES = [
    # examples, height, width, tasks, features, size, strides
    (5, 4, 4, 3, 6, 3, 2),
    (2, 7, 5, 3, 4, 3, 2),
    (2, 3, 4, 2, 1, 3, 1),
    (1, 2, 2, 1, 2, 5, 3),
]


@pytest.mark.parametrize(("n", "h", "w", "tasks", "features", "size", "strides"), SHAPES)
def test_patches_are_tensorflows(rng, n, h, w, tasks, features, size, strides):
    x = tf.constant(rng.normal(size=[n, h, w, tasks, features]))
    patches = unfold(x, size, strides)
    for task in range(tasks):
        expected = tf.image.extract_patches(
            x[..., task, :],
            sizes=[1, size, size, 1],
            strides=[1, strides, strides, 1],
            rates=[1, 1, 1, 1],
            padding="SAME",
        )
        np.testing.assert_array_equal(
            patches[task], tf.reshape(expected, [-1, size * size * features])
        )


@pytest.mark.parametrize(("n", "h", "w", "tasks", "features", "size", "strides"), SHAPES)
def test_first_and_second_derivatives(rng, n, h, w, tasks, features, size, strides):
    x = tf.constant(rng.normal(size=[n, h, w, tasks, features]))
    factor = rng.normal(size=unfold(x, size, strides).shape)

    def value(x):
        return tf.reduce_sum(tf.sin(unfold(x, size, strides)) * factor)

    def slope(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = value(x)
        return tf.reduce_sum(tape.gradient(y, x) ** 2)

    for function in (value, slope):
        analytic, numeric = tf.test.compute_gradient(function, [x])
        np.testing.assert_allclose(analytic[0], numeric[0], rtol=1e-6, atol=1e-6)
