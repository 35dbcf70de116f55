"""The forms of a convolution, against one another: none of them is computed like another."""

import numpy as np
import pytest
import tensorflow as tf

from maml_tnet.kernels.convolutions import (
    in_groups,
    over_patches,
    task_by_task,
    task_convolution,
)

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


@pytest.mark.parametrize("tasks", [1, 3])
def test_kernels_of_one_pixel_with_strides_and_few_features(rng, tasks):
    """oneDNN's own gradient of such a convolution overwrites memory, most often without a word."""
    x = rng.normal(size=[5, 12, 11, tasks, 3])
    kernel = rng.normal(size=[1, 1, 3, tasks, 16])
    y, of_x, of_kernel, *_ = derivatives(
        task_convolution, tf.constant(x, "float32"), tf.constant(kernel, "float32"), 2
    )
    traced = tf.function(task_convolution).get_concrete_function(
        tf.constant(x, "float32"), tf.constant(kernel, "float32"), 2
    )
    convolutions = [o for o in traced.graph.get_operations() if o.type == "Conv2D"]
    assert [o.get_attr("strides") for o in convolutions] == [[1, 1, 1, 1]] * len(convolutions)
    expected = np.einsum("bhwti,ito->bhwto", x[:, ::2, ::2], kernel[0, 0])
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    by_kernel = np.einsum("bhwti,bhwto->ito", x[:, ::2, ::2], 2 * expected)
    np.testing.assert_allclose(of_kernel[0, 0], by_kernel, rtol=1e-4, atol=1e-3)
    by_x = np.zeros_like(x)
    by_x[:, ::2, ::2] = np.einsum("bhwto,ito->bhwti", 2 * expected, kernel[0, 0])
    np.testing.assert_allclose(of_x, by_x, rtol=1e-4, atol=1e-3)
