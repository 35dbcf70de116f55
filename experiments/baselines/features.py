"""Features that were trained to tell all training classes apart.

The network is the task network's, with Keras' usual batch normalization (moving averages).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from data_generators.episode import Episode
from experiments.baselines.array_files import damaged, read_arrays, write_arrays
from experiments.baselines.nearest_neighbour import nearest_neighbour
from maml_tnet.compat import build_optimizer, optimizer_variables, tf_variable

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
    state: Path,
) -> tuple[keras.Model, list[float]]:
    """Train to tell all classes apart; keep the epoch whose features are the best neighbours.

    Args:
        pixels: uint8 [images, height, width, channels].
        labels: class numbers [images].
        validation: episodes whose accuracy decides.
        filters: of every convolution.
        epochs: passes over the images.
        seed: of weights and order.
        state: file from which the same call, stopped at any moment, goes on after the last epoch.

    Returns:
        the trained `feature_extractor`, and the validation accuracy after every epoch.

    Raises:
        UsageError: the state is damaged, or of another training.
    """
    keras.utils.set_random_seed(seed)
    model = classifier(pixels.shape[1:], int(labels.max()) + 1, filters)
    features = feature_extractor(model)
    optimizer = keras.optimizers.Adam(1e-3)
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    build_optimizer(optimizer, model.trainable_variables)
    episodes = list(validation)
    best, curve = features.get_weights(), []
    if state.exists():
        best, curve = _restore(state, model, optimizer, len(best))
    for epoch in range(len(curve), epochs):
        batches = _batches(pixels, labels, np.random.default_rng([seed, epoch]))
        model.fit(batches, initial_epoch=epoch, epochs=epoch + 1, shuffle=False, verbose=2)
        accuracies = nearest_neighbour(features, episodes)
        accuracy = max(float(np.mean(values)) for values in accuracies.values())
        if not curve or accuracy > max(curve):
            best = features.get_weights()
        curve.append(accuracy)
        moments = [variable.numpy() for variable in optimizer_variables(optimizer)]
        write_arrays(state, [np.array(curve), *best, *model.get_weights(), *moments])
    features.set_weights(best)
    return features, curve


def _batches(
    pixels: np.ndarray, labels: np.ndarray, random: np.random.Generator
) -> tf.data.Dataset:
    """All images once, in [0, 1], and their labels."""

    def read(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        x = tf.numpy_function(lambda rows: pixels[rows], [rows], pixels.dtype)
        x = tf.ensure_shape(x, [None, *pixels.shape[1:]])
        return tf.cast(x, tf.float32) / 255.0, tf.gather(labels, rows)

    order = tf.data.Dataset.from_tensor_slices(random.permutation(len(pixels)))
    return order.batch(BATCH_SIZE).map(read).prefetch(1)


def _restore(
    state: Path, model: keras.Model, optimizer: Any, size: int
) -> tuple[list[np.ndarray], list[float]]:
    """Go on after the last epoch: the best features' weights, `size` arrays, and the curve."""
    stored, weights = read_arrays(state), len(model.get_weights())
    try:
        curve, *arrays = stored
        best, arrays = arrays[:size], arrays[size:]
        model.set_weights(arrays[:weights])
        variables = optimizer_variables(optimizer)
        for variable, value in zip(variables, arrays[weights:], strict=True):
            tf_variable(variable).assign(value)
    except ValueError as error:
        raise damaged(state, error) from error
    return best, curve.tolist()
