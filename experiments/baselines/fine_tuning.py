"""All of a network is trained on a task's support images, with a new last layer."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow import keras

from data_generators.episode import Episode

STEP_SIZES = (0.003, 0.01, 0.03, 0.1)
STEPS = (5, 10, 20, 40)


class FineTuning(NamedTuple):
    """How a task is learned.

    Attributes:
        step_size: of gradient descent on the mean cross-entropy of all support images.
        steps: number of them.
    """

    step_size: float
    steps: int


def fine_tune(
    features: keras.Model, episodes: Iterable[Episode], step_size: float, steps: Sequence[int]
) -> dict[FineTuning, np.ndarray]:
    """Train all of the network, with a new last layer, on every task's support images.

    The last layer starts at zero and the features from the given ones in every task, which end as
    they were.

    Args:
        features: images -> features.
        episodes: of the tasks.
        step_size: of gradient descent.
        steps: the numbers of steps after which accuracies are taken.

    Returns:
        choice -> accuracy of every task, for every number of `steps`.
    """
    width = features.outputs[0].shape[-1]
    initial = features.get_weights()
    accuracies: dict[int, list[float]] = {number: [] for number in steps}
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
            for number in range(1, max(steps) + 1):
                step(support_x, support_y)
                if number in accuracies:
                    accuracies[number].append(float(accuracy(query_x, query_y)))
    features.set_weights(initial)
    return {FineTuning(step_size, n): np.array(found) for n, found in accuracies.items()}
