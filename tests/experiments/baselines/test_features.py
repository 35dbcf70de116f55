"""Features of four colours: the best epoch is kept, and a training that was stopped goes on."""

import numpy as np
import pytest
import tensorflow as tf

from data_generators.episode import Episode
from experiments.baselines import features as trained_features
from experiments.baselines.features import train_features
from experiments.baselines.nearest_neighbour import nearest_neighbour
from utils.errors import UsageError

pytestmark = pytest.mark.usefixtures("eagerly")

EPOCHS, IMAGES = 3, 24


@pytest.fixture
def images():
    """uint8 [4, images, 16, 16, 3]."""
    random = np.random.default_rng(0)
    colors = random.uniform(0, 255, size=[4, 1, 1, 1, 3])
    noise = random.normal(scale=20.0, size=[4, IMAGES, 16, 16, 3])
    return np.clip(colors + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def episode(images):
    x = tf.constant(images[:3] / 255.0, tf.float32)
    y = tf.one_hot(np.repeat(np.arange(3), 4), 3)
    return Episode(
        *(tf.reshape(x[:, :4], [1, 12, 16, 16, 3]), y[tf.newaxis]),
        *(tf.reshape(x[:, 4:8], [1, 12, 16, 16, 3]), y[tf.newaxis]),
    )


def train(images, episode, state, epochs=EPOCHS):
    pixels, labels = images.reshape([-1, 16, 16, 3]), np.repeat(np.arange(4), IMAGES)
    return train_features(pixels, labels, [episode], filters=4, epochs=epochs, seed=0, state=state)


def test_the_epoch_that_validates_best_is_kept_and_a_training_goes_on(
    images, episode, tmp_path, monkeypatch
):
    features, curve = train(images, episode, tmp_path / "whole.npz")
    assert len(curve) == EPOCHS
    accuracy = max(np.mean(v) for v in nearest_neighbour(features, [episode]).values())
    np.testing.assert_allclose(accuracy, max(curve))
    assert accuracy > 0.9

    judged = []

    def judge(features, episodes):
        judged.append(features)
        if len(judged) == 2:
            monkeypatch.setattr(trained_features, "nearest_neighbour", nearest_neighbour)
            raise KeyboardInterrupt
        return nearest_neighbour(features, episodes)

    monkeypatch.setattr(trained_features, "nearest_neighbour", judge)
    with pytest.raises(KeyboardInterrupt):
        train(images, episode, tmp_path / "stopped.npz")
    again, its_curve = train(images, episode, tmp_path / "stopped.npz")
    assert its_curve == curve
    for one, other in zip(again.get_weights(), features.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
    finished, _ = train(images, episode, tmp_path / "stopped.npz")  # trains no further
    for one, other in zip(finished.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("arrays", [[], [[0.5]], [[0.5], *([[0.0]] * 60)]])
def test_a_state_of_another_training_is_one_line(images, episode, tmp_path, arrays):
    file = tmp_path / "state.npz"
    np.savez(file, *map(np.array, arrays))
    with pytest.raises(UsageError, match=r"state\.npz does not hold the trained features \(.+\): "):
        train(images, episode, file)
