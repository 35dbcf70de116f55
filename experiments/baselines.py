"""The two baselines of the paper's Table 3: nearest neighbours and fine-tuning.

Both start from features that were trained, without any episode, to tell all training classes
apart. The network is the task network's, with Keras' usual batch normalization (moving averages).
What they can choose (distance, step size, number of steps) is chosen on the validation split.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow import keras

from data_generators.episode import Episode

BATCH_SIZE = 64
DISTANCES = ("euclidean", "cosine")
STEP_SIZES = (0.003, 0.01, 0.03, 0.1)
STEPS = (5, 10, 20, 40)


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


def nearest_neighbour(features: keras.Model, episodes: Iterable[Episode]) -> dict[str, np.ndarray]:
    """Give every query the class of the support image whose features are nearest.

    Returns:
        distance -> accuracy of every task.
    """
    accuracies: dict[str, list[np.ndarray]] = {distance: [] for distance in DISTANCES}
    embed = tf.function(lambda x: features(x, training=False), autograph=False)
    for episode in episodes:
        tasks, *image_shape = episode.support_x.shape[0], *episode.support_x.shape[2:]
        support, query = (
            tf.reshape(embed(tf.reshape(x, [-1, *image_shape])), [tasks, x.shape[1], -1])
            for x in (episode.support_x, episode.query_x)
        )
        for distance, found in accuracies.items():
            nearest = tf.argmax(_similarity(query, support, distance), axis=-1)
            answers = tf.gather(episode.support_y, nearest, batch_dims=1)
            correct = tf.argmax(answers, -1) == tf.argmax(episode.query_y, -1)
            found.append(np.mean(correct.numpy(), axis=1))
    return {distance: np.concatenate(found) for distance, found in accuracies.items()}


def _similarity(query: tf.Tensor, support: tf.Tensor, distance: str) -> tf.Tensor:
    """[tasks, queries, features] and [tasks, support, features] -> [tasks, queries, support]."""
    if distance == "cosine":
        query, support = (tf.math.l2_normalize(x, axis=-1) for x in (query, support))
        return tf.matmul(query, support, transpose_b=True)
    return 2 * tf.matmul(query, support, transpose_b=True) - tf.reduce_sum(support**2, -1)[:, None]


class FineTuning(NamedTuple):
    """How a task is learned.

    Attributes:
        step_size: of gradient descent on the mean cross-entropy of all support images.
        steps: number of them.
    """

    step_size: float
    steps: int


def fine_tune(
    features: keras.Model, episodes: Iterable[Episode], step_size: float
) -> dict[FineTuning, np.ndarray]:
    """Train all of the network, with a new last layer, on every task's support images.

    The last layer starts at zero and the features from the given ones in every task, which end as
    they were.

    Returns:
        choice -> accuracy of every task, for every number of steps in `STEPS`.
    """
    width = features.outputs[0].shape[-1]
    initial = features.get_weights()
    accuracies: dict[int, list[float]] = {steps: [] for steps in STEPS}
    head: list[tf.Variable] = []

    @tf.function(autograph=False)
    def step(x: tf.Tensor, y: tf.Tensor) -> None:
        variables = [*features.trainable_variables, *head]
        with tf.GradientTape() as tape:
            logits = features(x, training=False) @ head[0] + head[1]
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(y, logits))
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign(variable - step_size * gradient)

    @tf.function(autograph=False)
    def accuracy(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        logits = features(x, training=False) @ head[0] + head[1]
        return tf.reduce_mean(tf.cast(tf.argmax(logits, -1) == tf.argmax(y, -1), tf.float32))

    for episode in episodes:
        way = episode.support_y.shape[-1]
        if not head:
            head += [tf.Variable(tf.zeros([width, way])), tf.Variable(tf.zeros([way]))]
        for support_x, support_y, query_x, query_y in zip(*episode, strict=True):
            features.set_weights(initial)
            for variable in head:
                variable.assign(tf.zeros_like(variable))
            for number in range(1, max(STEPS) + 1):
                step(support_x, support_y)
                if number in accuracies:
                    accuracies[number].append(float(accuracy(query_x, query_y)))
    features.set_weights(initial)
    return {FineTuning(step_size, n): np.array(found) for n, found in accuracies.items()}
