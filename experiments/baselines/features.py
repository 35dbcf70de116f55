"""Features that were trained to tell all training classes apart.

The network is the task network's, with Keras' usual batch normalization (moving averages).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from data_generators.episode import Episode
from experiments.baselines.nearest_neighbour import nearest_neighbour

BATCH_SIZE = 64


def classifier(image_shape: Sequence[int], classes: int, filters: int) -> keras.Sequential:
    """Four blocks of [3x3 convolution, batch norm, ReLU, max pool] and a dense layer."""
    layers: list[Any] = [keras.layers.Input(tuple(image_shape))]
    for _ in range(4):
        layers += [
            keras.layers.Conv2D(filters, 3, padding="same", use_bias=False),
            keras.layers.BatchNormalization(scale=False),
            keras.layers.ReLU(),
            keras.layers.MaxPooling2D(),
        ]
    return keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(classes)])


def feature_extractor(model: keras.Sequential) -> keras.Model:
    """All of a classifier but its last layer: [images, h, w, c] in [0, 1] -> [images, features]."""
    return keras.Model(model.inputs, model.layers[-2].output)


def train_features(
    pixels: np.ndarray,
    labels: np.ndarray,
    validation: Iterable[Episode],
    *,
    filters: int,
    epochs: int,
    seed: int,
) -> tuple[keras.Model, list[float]]:
    """Train to tell all classes apart; keep the epoch whose features are the best neighbours.

    Args:
        pixels: uint8 [images, height, width, channels].
        labels: class numbers [images].
        validation: episodes whose accuracy decides.
        filters: of every convolution.
        epochs: passes over the images.
        seed: of weights and order.

    Returns:
        the trained `feature_extractor`, and the validation accuracy after every epoch.
    """
    keras.utils.set_random_seed(seed)
    model = classifier(pixels.shape[1:], int(labels.max()) + 1, filters)
    features = feature_extractor(model)
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    episodes = list(validation)
    best: list[np.ndarray] = []
    curve: list[float] = []

    def judge(epoch: int, logs: Any) -> None:
        accuracies = nearest_neighbour(features, episodes)
        accuracy = max(float(np.mean(values)) for values in accuracies.values())
        if not curve or accuracy > max(curve):
            best[:] = features.get_weights()
        curve.append(accuracy)

    images = tf.data.Dataset.from_tensor_slices((pixels, labels)).shuffle(
        len(pixels), seed=seed, reshuffle_each_iteration=True
    )
    batches = images.batch(BATCH_SIZE).map(lambda x, y: (tf.cast(x, tf.float32) / 255.0, y))
    model.fit(
        batches,
        epochs=epochs,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=judge)],
        verbose=2,
    )
    features.set_weights(best)
    return features, curve
