"""Normalization by the statistics of the current task's current batch, never by moving averages.

Activations are [examples, height, width, tasks, features]. There is an offset beta, which is
meta-learned and not adapted, and no scale; epsilon is 1e-3.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras


def standardize(x: tf.Tensor, axes: Sequence[int], epsilon: float) -> tf.Tensor:
    """Subtract the mean and divide by the deviation.

    Not by `tf.nn.moments`, whose second derivative is wrong: it holds the mean constant.

    Args:
        x: activations.
        axes: over which mean and variance are taken.
        epsilon: added to the variance.

    Returns:
        (x - mean) / sqrt(variance + epsilon), of the shape of x.
    """
    centered = x - tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(centered), axes, keepdims=True)
    return centered * tf.math.rsqrt(variance + epsilon)


class _OffsetNormalization(keras.layers.Layer):
    axes: tuple[int, ...]  # over which statistics are taken

    def __init__(self, epsilon: float = 1e-3, **kwargs: Any):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape: Any) -> None:
        """Create beta, [features]."""
        self.beta = self.add_weight(name="beta", shape=[input_shape[-1]], initializer="zeros")
        self.built = True

    def standardize(self, x: tf.Tensor) -> tf.Tensor:
        """The normalization without its offset."""
        return standardize(x, self.axes, self.epsilon)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """[examples, height, width, tasks, features], same out."""
        return self.standardize(x) + self.beta

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "epsilon": self.epsilon}


@keras.utils.register_keras_serializable("maml_tnet")
class TaskBatchNormalization(_OffsetNormalization):
    """Normalize each feature over the examples and positions of its own task."""

    axes = (0, 1, 2)


@keras.utils.register_keras_serializable("maml_tnet")
class TaskLayerNormalization(_OffsetNormalization):
    """Normalize each example of each task over its positions and features."""

    axes = (1, 2, 4)
