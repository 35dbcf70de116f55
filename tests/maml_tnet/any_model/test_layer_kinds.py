"""The meta-gradient of every kind of layer against finite differences, in float64."""

import numpy as np
import pytest
import tensorflow as tf
from layer_kinds import KINDS, random_inputs
from tensorflow import keras

from maml_tnet import MetaLearner
from maml_tnet.any_model.episode import ModelEpisode

pytestmark = pytest.mark.usefixtures("double_precision")


def one_episode(model, rng):
    """One task's random examples, [examples, ...]."""
    support_x, query_x = random_inputs(model, rng, 4), random_inputs(model, rng, 3)

    def targets(x, number):
        outputs = model(tf.nest.map_structure(lambda part: part[:1], x))
        return tf.nest.map_structure(lambda y: rng.normal(size=[number, *y.shape[1:]]), outputs)

    parts = support_x, targets(support_x, 4), query_x, targets(query_x, 3)
    return ModelEpisode(*tf.nest.map_structure(tf.constant, parts))


def compiled(model, **options):
    learner = MetaLearner(model, **{"update_lr": 0.2, **options})
    outputs = getattr(model, "output_names", None) or []
    loss = dict.fromkeys(outputs, "mse") if len(outputs) > 1 else "mse"
    learner.compile(loss=loss)
    return learner


def chance(learner):
    """Noise of masks in the middle, and seeds of the random layers."""
    noise = [[tf.zeros(logits.shape, logits.dtype) for logits in learner.adapting.mask_logits]]
    return noise, tf.reshape(tf.range(2 * len(learner.function.seeds)), [-1, 2])


def query_loss(learner, episode):
    return learner.query_loss(learner.values()[1], episode, *chance(learner), training=True)[0]


def gradient(learner, episode):
    values, by_id = learner.values()
    with tf.GradientTape() as tape:
        tape.watch(values)
        loss, _ = learner.query_loss(by_id, episode, *chance(learner), training=True)
    gradients = tape.gradient(loss, values, unconnected_gradients="zero")
    return loss, [tf.convert_to_tensor(g).numpy() for g in gradients]


def randomize(learner, rng):
    for variable in learner.trainable_variables:
        variable.assign(variable + 0.2 * rng.normal(size=variable.shape))


@pytest.mark.parametrize("kind", KINDS)
def test_meta_gradient_of_a_kind_of_layer(kind, rng):
    """With T, alpha per weight and one inner step: along a random direction of all variables."""
    model = KINDS[kind]()
    episode = one_episode(model, rng)
    learner = compiled(model, transform=True, meta_sgd=True)
    randomize(learner, rng)
    _, gradients = gradient(learner, episode)

    directions = [rng.normal(size=v.shape) for v in learner.trainable_variables]
    start, step, losses = [v.numpy() for v in learner.trainable_variables], 1e-6, []
    for sign in (1, -1):
        for variable, value, direction in zip(
            learner.trainable_variables, start, directions, strict=True
        ):
            variable.assign(value + sign * step * direction)
        losses.append(float(query_loss(learner, episode)))
    expected = (losses[0] - losses[1]) / (2 * step)
    along = sum(np.sum(g * d) for g, d in zip(gradients, directions, strict=True))
    np.testing.assert_allclose(along, expected, rtol=1e-5, atol=1e-7)
    assert abs(expected) > 1e-3

    # T = I, M = 1 is MAML, for the weights that both have.
    maml = compiled(model)
    mt_net = compiled(model, transform=True, mask="unit", logit_init=50.0)
    loss, gradients = gradient(maml, episode)
    same_loss, same = gradient(mt_net, episode)
    np.testing.assert_allclose(same_loss, loss, rtol=1e-12)
    for ours, theirs in zip(same, gradients, strict=False):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["max", "average"])
def test_second_derivative_of_pooling_3d(kind, rng):
    """In float32, as there is no other; the windows do not overlap."""
    x = tf.constant(rng.normal(size=[2, 4, 4, 4, 3]), "float32")
    direction = tf.constant(rng.normal(size=x.shape), "float32")

    def along(pool):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(tf.sin(pool(x)))
            slope = tf.reduce_sum(direction * inner.gradient(y, x))
        return outer.gradient(slope, x)

    def windows(x):
        split = tf.reshape(x, [2, 2, 2, 2, 2, 2, 2, 3])
        windows = tf.reshape(tf.transpose(split, [0, 1, 3, 5, 7, 2, 4, 6]), [-1, 8])
        return (tf.reduce_max if kind == "max" else tf.reduce_mean)(windows, axis=1)

    layer = {"max": keras.layers.MaxPooling3D, "average": keras.layers.AveragePooling3D}[kind]
    np.testing.assert_allclose(
        along(layer(dtype="float32", pool_size=2)), along(windows), rtol=1e-5, atol=1e-6
    )
