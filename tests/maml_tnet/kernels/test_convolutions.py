"""The forms of a convolution, against one another: none of them is computed like another."""

import numpy as np
import pytest
import tensorflow as tf

from maml_tnet.kernels.convolutions import in_groups, over_patches, task_by_task

SHAPES = [((7, 8), 3, 1), ((7, 8), 3, 2), ((4, 5), 2, 1), ((6, 6), 5, 3), ((2, 1), 3, 2)]


def random(rng, image, size, dtype):
    x = rng.normal(size=[3, *image, 2, 4])
    kernel = rng.normal(size=[size, size, 4, 2, 5])
    return tf.constant(x, dtype), tf.constant(kernel, dtype)


def derivatives(convolution, x, kernel, strides):
    """The value, both gradients of a sum of squares, and the gradient of their squares."""
    with tf.GradientTape() as outer:
        outer.watch((x, kernel))
        with tf.GradientTape() as inner:
            inner.watch((x, kernel))
            y = convolution(x, kernel, strides)
            loss = tf.reduce_sum(tf.square(y))
        first = inner.gradient(loss, (x, kernel))
        total = tf.add_n([tf.reduce_sum(tf.square(g)) for g in first])
    return [y, *first, *outer.gradient(total, (x, kernel))]


@pytest.mark.parametrize(("image", "size", "strides"), SHAPES)
def test_products_over_patches_are_the_convolution(rng, image, size, strides):
    x, kernel = random(rng, image, size, "float64")
    expected = derivatives(task_by_task, x, kernel, strides)
    for ours, theirs in zip(derivatives(over_patches, x, kernel, strides), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-9)


def test_groups_are_the_convolution(rng):
    x, kernel = random(rng, (7, 8), 3, "float32")
    expected = task_by_task(x, kernel, 2)
    np.testing.assert_allclose(in_groups(x, kernel, 2), expected, rtol=1e-4, atol=1e-5)
