import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from data_generators import Sinusoid
from maml_tnet import ConvNet, Regressor
from maml_tnet.compat import tf_variable
from maml_tnet.losses import cross_entropy, squared_error
from utils.runs.pretraining import PretrainedMetaLearner


def patterns(iteration):
    rng = np.random.default_rng(int(iteration))
    x = tf.constant(rng.uniform(size=[2, 3, 9, 8, 1]), "float32")
    labels = tf.tile(tf.eye(3)[tf.newaxis], [2, 1, 1])
    episode = Sinusoid().episodes("train", 0, 0, tasks=1, shot=1, query=1)
    return type(episode)(x, labels, x[:, ::-1], labels[:, ::-1])


def make(kind):
    if kind == "classification":
        network = ConvNet((9, 8, 1), 3, num_filters=4, use_transform=True, mask_per="unit")
        loss, sample, alpha = cross_entropy, patterns, 0.4
    else:
        network = Regressor(dim_hidden=8, use_transform=True, mask_per="unit")
        loss, alpha = squared_error, 0.01

        def sample(iteration):
            return Sinusoid().episodes("train", 0, iteration, tasks=4, shot=5, query=5)

    learner = PretrainedMetaLearner(
        network, sample_episode=sample, update_lr=alpha, num_updates=1, pretrain_iterations=1
    )
    learner.compile(optimizer=keras.optimizers.SGD(1.0), loss=loss)
    return learner


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_first_iterations_minimize_the_loss_before_adaptation(kind):
    learner = make(kind)
    network, episode = learner.network, learner.sample_episode(0)
    variables = learner.trainable_variables
    with tf.GradientTape() as tape:
        outputs = network(episode.support_x)
        if kind == "classification":
            entropies = -tf.reduce_sum(episode.support_y * tf.nn.log_softmax(outputs), [1, 2])
            loss = tf.reduce_mean(entropies)  # one shot: the sum over the support
        else:
            loss = tf.reduce_mean((outputs - episode.support_y) ** 2)
    expected = tape.gradient(loss, [tf_variable(v) for v in variables])
    before = [v.numpy() for v in variables]
    measures = learner.meta_step(tf.constant(0))
    np.testing.assert_allclose(measures[:2], [loss, loss], rtol=1e-5)
    after = [v.numpy() for v in variables]
    for old, new, gradient in zip(before, after, expected, strict=True):
        step = np.zeros_like(old) if gradient is None else gradient
        np.testing.assert_allclose(old - new, step, rtol=1e-3, atol=1e-5)

    # The iterations after them are those of any meta-learner.
    gradients, _ = learner.meta_gradient(learner.sample_episode(1), tf.constant([learner.seed, 1]))
    learner.meta_step(tf.constant(1))
    for old, new, gradient in zip(after, variables, gradients, strict=True):
        np.testing.assert_allclose(old - new.numpy(), gradient, rtol=1e-3, atol=1e-4)
