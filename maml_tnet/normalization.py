"""Normalization by the statistics of the current task's current batch, never by moving averages.

Activations are [examples, height, width, tasks, features]. There is an offset beta, which is
meta-learned and not adapted, and no scale; epsilon is 1e-3.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow import keras

from maml_tnet.patches import same_padding
from maml_tnet.task_axis import sizes


class PatchStatistics(NamedTuple):
    """First and second moments of the image patches under a convolution's kernel.

    Attributes:
        mean: [tasks, patch], the mean patch of each task's images.
        covariance: [tasks, patch, patch], of the patches' values.
    """

    mean: tf.Tensor
    covariance: tf.Tensor


def patch_statistics(images: tf.Tensor, size: int, strides: int) -> PatchStatistics:
    """Moments over all SAME-padded `size` x `size` patches of each task's images.

    Args:
        images: [tasks, examples, height, width, channels].
        size: of the kernel.
        strides: of the convolution.
    """
    tasks, (height, width, channels) = tf.shape(images)[0], images.shape[2:]
    patch = size * size * channels
    sides = [same_padding(extent, size, strides) for extent in (height, width)]
    padded = tf.pad(images, [(0, 0), (0, 0), *sides, (0, 0)])
    # Moments about a value near the mean lose little to rounding. With one more value, 1, in
    # every patch, the mean comes with the covariance: the patches, which are large, are read once.
    center = tf.reduce_mean(padded, axis=[1, 2, 3], keepdims=True)
    rows = tf.reshape(padded - center, [-1, *padded.shape[2:]])
    # A convolution that copies a patch's values is faster than tf.image.extract_patches.
    copies = tf.reshape(tf.eye(patch, patch + 1, dtype=images.dtype), [size, size, channels, -1])
    one = tf.one_hot(patch, patch + 1, dtype=images.dtype)
    patches = tf.nn.bias_add(tf.nn.conv2d(rows, copies, strides, "VALID"), one)
    patches = tf.reshape(patches, [tasks, -1, patch + 1])
    count = tf.cast(tf.shape(patches)[1], images.dtype)
    moments = tf.matmul(patches, patches, transpose_a=True) / count
    mean, second = moments[:, -1, :-1], moments[:, :-1, :-1]
    covariance = second - mean[:, :, tf.newaxis] * mean[:, tf.newaxis, :]
    return PatchStatistics(
        mean + tf.tile(tf.reshape(center, [-1, channels]), [1, size * size]), covariance
    )


def standardize(x: tf.Tensor, axes: Sequence[int], epsilon: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Subtract the mean and divide by the deviation; the gradient is written by hand.

    Automatic differentiation of these few lines, twice, passes over the activations more often
    than everything else in a layer.

    Args:
        x: activations.
        axes: over which mean and variance are taken.
        epsilon: added to the variance.

    Returns:
        z = (x - mean) s and s = 1 / sqrt(variance + epsilon), whose sizes along `axes` are 1.
    """

    @tf.custom_gradient
    def standardized(x: tf.Tensor) -> Any:
        centered = x - _mean(x, axes)
        scale = tf.math.rsqrt(_mean(tf.square(centered), axes) + epsilon)

        def gradient(dz: tf.Tensor, dscale: tf.Tensor) -> tf.Tensor:
            # Again, as then the gradient of this gradient is written by hand, too; in a graph
            # the optimizer merges the two.
            z, scale = standardized(x)
            count = tf.cast(tf.size(x) / tf.size(scale), x.dtype)
            along_z = _mean(dz * z, axes) + scale * dscale / count
            return scale * (dz - z * along_z - _mean(dz, axes))

        return (centered * scale, scale), gradient

    return standardized(x)


def _mean(x: tf.Tensor, axes: Sequence[int]) -> tf.Tensor:
    """`tf.reduce_mean(x, axes, keepdims=True)`.

    Of the first axes it is the product with a row of ones, which takes a quarter of the time.
    """
    if tuple(axes) != tuple(range(len(axes))):
        return tf.reduce_mean(x, axes, keepdims=True)
    kept = sizes(x)[len(axes) :]
    columns = tf.reshape(x, [-1, math.prod(kept)])
    count = sizes(columns)[0]
    total = tf.matmul(tf.ones([1, count], x.dtype), columns)
    return tf.reshape(total / tf.cast(count, x.dtype), [1] * len(axes) + kept)


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
        return standardize(x, self.axes, self.epsilon)[0]

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

    def fold(self, kernel: tf.Tensor, statistics: PatchStatistics) -> tuple[tf.Tensor, tf.Tensor]:
        """Put the normalization of `conv(images, kernel)` into the kernel itself.

        A convolution of data is linear in patches whose moments are known beforehand, so the mean
        and variance of its output are a^T mu and a^T C a for a column a of the kernel. The large
        activations of a network's first layer are thus never read or written to be normalized.

        Args:
            kernel: [size, size, channels, tasks, features].
            statistics: of the images.

        Returns:
            kernel of the same shape and offset [tasks, features] such that
            `conv(images, kernel) + offset` equals `self(conv(images, original kernel))`.
        """
        columns = tf.reshape(kernel, [-1, *tf.unstack(tf.shape(kernel)[-2:])])
        covariance = tf.einsum("tij,jtf->itf", statistics.covariance, columns)
        variance = tf.reduce_sum(columns * covariance, axis=0)
        mean = tf.reduce_sum(tf.transpose(statistics.mean)[..., tf.newaxis] * columns, axis=0)
        scale = tf.math.rsqrt(variance + self.epsilon)
        return kernel * scale, self.beta - mean * scale


@keras.utils.register_keras_serializable("maml_tnet")
class TaskLayerNormalization(_OffsetNormalization):
    """Normalize each example of each task over its positions and features."""

    axes = (1, 2, 4)
