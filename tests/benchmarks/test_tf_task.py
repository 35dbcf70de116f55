"""The fused batch normalization, which the check in float64 does not see."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from benchmarks.contestants.tf_task import normalize, normalize_fused

RANDOM = np.random.RandomState(0)
X = RANDOM.normal(0.5, 2, [6, 5, 5, 3])
BETA, FIRST, SECOND = (
    RANDOM.normal(size=3),
    RANDOM.normal(size=X.shape),
    RANDOM.normal(size=X.shape),
)


def derivatives(
    normalization: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], dtype: str
) -> list[np.ndarray]:
    """Outputs, a gradient, and the gradient of that gradient in a direction."""
    x, beta, first, second = (tf.constant(value, dtype) for value in (X, BETA, FIRST, SECOND))
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = normalization(x, beta)
            value = tf.reduce_sum(first * tf.square(y))
        gradient = inner.gradient(value, x)
        along = tf.reduce_sum(second * gradient)
    return [value.numpy() for value in (y, gradient, outer.gradient(along, x))]


def test_fused_normalization_has_the_second_derivatives_of_the_plain_one() -> None:
    fused, plain = derivatives(normalize_fused, "float32"), derivatives(normalize, "float64")
    for found, expected in zip(fused, plain, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
