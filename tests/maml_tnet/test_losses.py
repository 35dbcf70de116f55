import numpy as np
import scipy.special
import tensorflow as tf

from maml_tnet.losses import accuracy, cross_entropy, squared_error


def test_squared_error_is_every_tasks_own_mean(rng):
    outputs, targets = rng.normal(size=[2, 6, 4, 3])
    loss = squared_error(tf.constant(outputs), tf.constant(targets), 6)
    expected = [np.mean((outputs[:, t] - targets[:, t]) ** 2) for t in range(4)]
    np.testing.assert_allclose(loss, expected)


def cross_entropies(logits, labels):
    return -np.sum(labels * scipy.special.log_softmax(logits, axis=-1), axis=-1)


def test_cross_entropy_on_the_support_is_way_times_the_mean(rng):
    for way, shot in ((5, 1), (5, 3), (20, 1)):
        logits = rng.normal(size=[way * shot, 4, way])
        labels = np.eye(way)[rng.integers(way, size=[way * shot, 4])]
        loss = cross_entropy(tf.constant(logits), tf.constant(labels), way * shot)
        np.testing.assert_allclose(loss, way * cross_entropies(logits, labels).mean(0))


def test_cross_entropy_of_queries_is_divided_by_the_support_shot(rng):
    way, shot, query = 5, 2, 15
    logits = rng.normal(size=[way * query, 4, way])
    labels = np.eye(way)[rng.integers(way, size=[way * query, 4])]
    loss = cross_entropy(tf.constant(logits), tf.constant(labels), tf.constant(way * shot))
    np.testing.assert_allclose(loss, cross_entropies(logits, labels).sum(0) / shot)


def test_accuracy_is_the_fraction_of_right_answers():
    logits = np.zeros([4, 2, 3], "float32")
    labels = np.zeros([4, 2, 3], "float32")
    for task, (guesses, truth) in enumerate(
        [([0, 1, 2, 0], [0, 1, 2, 1]), ([2] * 4, [0, 1, 0, 2])]
    ):
        for example, (guess, label) in enumerate(zip(guesses, truth, strict=True)):
            logits[example, task, guess] = 1.0
            labels[example, task, label] = 1.0
    np.testing.assert_array_equal(accuracy(tf.constant(logits), tf.constant(labels)), [0.75, 0.25])
