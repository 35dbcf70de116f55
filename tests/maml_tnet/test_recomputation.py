"""Recomputation against the same derivatives without it."""

import numpy as np
import pytest
import tensorflow as tf
from random_episodes import image_episode, randomize, regression_episode

from maml_tnet import ConvNet, MetaLearner, Regressor
from maml_tnet.recomputation import recomputed


def twice_differentiable(w, structure):
    """Takes a gradient itself, as an inner step does."""
    x, (y, z) = structure
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.reduce_sum(tf.sin(x * w) * y + x * x * z)
    return {"gradient": tape.gradient(value, x), "value": value}


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
def test_gradients_of_arguments_and_variables(rng, compiled):
    w = tf.Variable(rng.normal(size=[4]))
    x, y, z = (tf.constant(rng.normal(size=[4])) for _ in range(3))

    def gradients(function):
        with tf.GradientTape() as tape:
            tape.watch([x, y, z])
            result = function(x, (y, z))
            total = tf.reduce_sum(result["gradient"] ** 3) + result["value"]
        return tape.gradient(total, [w, x, y, z])

    def function(x, yz):
        return twice_differentiable(w, (x, yz))

    run = tf.function(gradients) if compiled else gradients
    for ours, expected in zip(run(recomputed(function)), run(function), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_function_runs_again_in_the_backward_pass_only():
    calls = []

    def function(x):
        calls.append(None)
        return x * x

    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = recomputed(function)(x)
    assert len(calls) == 1
    assert float(tape.gradient(y, x)) == 6.0
    assert len(calls) == 2


@pytest.mark.parametrize("kind", ["regressor", "conv net"])
def test_meta_gradient_is_the_same(rng, kind):
    if kind == "regressor":
        network = Regressor(2, 3, dim_hidden=6, use_transform=True, mask_per="unit")
        episode = regression_episode(rng, tasks=3, inputs=2, outputs=3, dtype="float32")
    else:
        network = ConvNet((9, 8, 2), 3, num_filters=4, use_transform=True, mask_per="unit")
        episode = image_episode(rng, (9, 8, 2), tasks=3, dtype="float32")
    randomize(network, rng)

    def meta_gradient(recompute):
        learner = MetaLearner(
            network,
            classification=kind == "conv net",
            sample_episode=lambda iteration: episode,
            update_lr=0.05,
            num_updates=3,
            recompute=recompute,
        )
        gradients, measures = tf.function(learner.meta_gradient)(episode, tf.constant([1, 2]))
        return [*gradients, *measures]

    for ours, expected in zip(meta_gradient(True), meta_gradient(False), strict=True):
        error = np.linalg.norm(ours - expected) / (np.linalg.norm(expected) + 1e-6)
        assert error < 1e-4
