import numpy as np
import pytest
import tensorflow as tf

from maml_tnet.kernels.statistics import standardize

SHAPE = [5, 4, 3, 2, 6]  # examples, height, width, tasks, features


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 4)], ids=["batch", "layer"])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
def test_hand_written_gradient_equals_the_automatic_one_to_third_order(axes, rng, compiled):
    x = tf.constant(rng.normal(size=SHAPE))
    factors = tf.constant(rng.normal(size=SHAPE))

    def automatic(x):
        centered = x - tf.reduce_mean(x, axes, keepdims=True)
        scale = 1 / tf.sqrt(tf.reduce_mean(centered**2, axes, keepdims=True) + 0.1)
        return centered * scale

    def derivative(function, x, order):
        if order == 0:
            return tf.reduce_sum(tf.sin(function(x)) * factors)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = derivative(function, x, order - 1)
        return tf.reduce_sum(tf.cos(tape.gradient(value, x)) * factors)

    def up_to_third_order(function):
        return [derivative(function, x, order) for order in range(4)]

    run = tf.function(up_to_third_order) if compiled else up_to_third_order
    ours = run(lambda x: standardize(x, axes, 0.1))
    np.testing.assert_allclose(ours, run(automatic), rtol=1e-9)
