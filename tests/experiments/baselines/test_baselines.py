"""Nearest neighbours and fine-tuning against NumPy, on features that are simple enough."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from data_generators.episode import Episode
from experiments.baselines.fine_tuning import STEPS, FineTuning, fine_tune
from experiments.baselines.nearest_neighbour import nearest_neighbour

TASKS, WAY, SHOT, QUERY, SHAPE = 6, 3, 2, 4, (2, 2, 1)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def episode(rng):
    """Classes are noisy directions, so that scale tells euclidean from cosine neighbours."""
    centers = rng.normal(size=[TASKS, WAY, 1, *SHAPE])

    def images(count):
        scale = rng.uniform(0.2, 3.0, size=[TASKS, WAY, count, 1, 1, 1])
        x = scale * (centers + 0.3 * rng.normal(size=[TASKS, WAY, count, *SHAPE]))
        labels = np.broadcast_to(np.repeat(np.arange(WAY), count), [TASKS, WAY * count])
        x = tf.constant(x.reshape([TASKS, WAY * count, *SHAPE]), tf.float32)
        return x, tf.one_hot(labels, WAY)

    return Episode(*images(SHOT), *images(QUERY))


@pytest.fixture
def flat():
    return keras.Sequential([keras.layers.Input(SHAPE), keras.layers.Flatten()])


def test_neighbours_are_the_nearest(episode, flat):
    found = nearest_neighbour(flat, [episode, episode])
    support, query = (
        x.numpy().reshape([TASKS, -1, 4]) for x in (episode.support_x, episode.query_x)
    )
    unit = [x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (support, query)]
    distances = {
        "euclidean": np.linalg.norm(query[:, :, None] - support[:, None], axis=-1),
        "cosine": 1 - np.einsum("tqf,tsf->tqs", unit[1], unit[0]),
    }
    for name, distance in distances.items():
        answer = np.argmin(distance, axis=2) // SHOT
        expected = np.mean(answer == np.arange(WAY * QUERY) // QUERY, axis=1)
        np.testing.assert_allclose(found[name], np.tile(expected, 2))
    assert np.any(found["euclidean"] != found["cosine"])


def test_a_new_last_layer_is_trained_by_gradient_descent(episode, flat):
    found = fine_tune(flat, [episode], 0.5, STEPS)
    x, y = episode.support_x.numpy().reshape([TASKS, -1, 4]), episode.support_y.numpy()
    query = episode.query_x.numpy().reshape([TASKS, -1, 4])
    assert list(found) == [FineTuning(0.5, steps) for steps in STEPS]
    for task in range(TASKS):
        kernel, bias = np.zeros([4, WAY]), np.zeros(WAY)
        for step in range(1, max(STEPS) + 1):
            exponentials = np.exp(x[task] @ kernel + bias)
            error = exponentials / exponentials.sum(1, keepdims=True) - y[task]
            kernel -= 0.5 * x[task].T @ error / len(error)
            bias -= 0.5 * error.mean(0)
            if step in STEPS:
                answer = np.argmax(query[task] @ kernel + bias, axis=1)
                expected = np.mean(answer == np.arange(WAY * QUERY) // QUERY)
                np.testing.assert_allclose(found[FineTuning(0.5, step)][task], expected, atol=1e-6)


def test_the_features_are_tuned_too_and_end_as_they_were(episode):
    features = keras.Sequential(
        [keras.layers.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(4)]
    )
    before = features.get_weights()
    first = fine_tune(features, [episode], 0.3, STEPS)
    for a, b in zip(features.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    again = fine_tune(features, [episode, episode], 0.3, STEPS)
    for key, values in first.items():  # no task sees what another learned
        np.testing.assert_array_equal(again[key], np.tile(values, 2))
    features.trainable = False
    frozen = fine_tune(features, [episode], 0.3, STEPS)
    assert any(np.any(frozen[key] != first[key]) for key in first)
