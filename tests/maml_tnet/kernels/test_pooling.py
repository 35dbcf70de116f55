import numpy as np
import pytest
import tensorflow as tf

from maml_tnet.kernels.pooling import max_pool


@pytest.mark.parametrize("shape", [(3, 4, 6, 2), (2, 5, 7, 3)])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
def test_every_derivative_is_that_of_the_largest_value(rng, shape, compiled):
    x = tf.constant(rng.normal(size=shape))
    examples, height, width, features = shape
    out = (examples, height // 2, width // 2, features)
    factors = tf.constant(rng.normal(size=shape))

    def windows(a):
        cut = np.asarray(a)[:, : 2 * out[1], : 2 * out[2]]
        apart = cut.reshape(examples, out[1], 2, out[2], 2, features)
        return apart.transpose(0, 1, 3, 5, 2, 4).reshape(*out, 4)

    def derivatives(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = max_pool(x)
                total = tf.reduce_sum(tf.sin(y))
            first = inner.gradient(total, x)
            weighted = tf.reduce_sum(first**2 * factors)
        return y, first, outer.gradient(weighted, x)

    y, first, second = (tf.function(derivatives, autograph=False) if compiled else derivatives)(x)
    largest = windows(x).max(-1)
    np.testing.assert_allclose(y, largest)
    chosen = windows(x) == largest[..., np.newaxis]
    np.testing.assert_allclose(windows(first), chosen * np.cos(windows(x)))
    # d/dx of factors * cos(x)^2 where x is the largest.
    expected = chosen * windows(factors) * -np.sin(2 * windows(x))
    np.testing.assert_allclose(windows(second), expected, atol=1e-12)
    if height % 2:
        assert np.all(first[:, -1] == 0)
        assert np.all(second[:, -1] == 0)


def test_second_derivative_against_finite_differences(rng):
    x = rng.normal(size=[2, 4, 4, 2])
    direction = rng.normal(size=x.shape)
    factors = tf.constant(rng.normal(size=x.shape))

    def slope(x):
        """The derivative of a quartic of the pooled values, weighted."""
        x = tf.constant(x)
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                total = tf.reduce_sum(max_pool(x) ** 4)
            weighted = tf.reduce_sum(inner.gradient(total, x) * factors)
        return weighted.numpy(), outer.gradient(weighted, x).numpy()

    h = 1e-5
    _, gradient = slope(x)
    difference = (slope(x + h * direction)[0] - slope(x - h * direction)[0]) / (2 * h)
    np.testing.assert_allclose(np.sum(gradient * direction), difference, rtol=1e-7)
