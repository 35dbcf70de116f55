"""Normalization by the statistics of the current task's current batch, never by moving averages.

Activations are [examples, height, width, tasks, features]. There is an offset beta, which is
meta-learned and not adapted, and no scale; epsilon is 1e-3.
"""

from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow import keras


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
    shape = tf.shape(images)
    patch = size * size * images.shape[-1]
    # A convolution that copies a patch's values is faster than tf.image.extract_patches.
    copies = tf.reshape(tf.eye(patch, dtype=images.dtype), [size, size, -1, patch])
    rows = tf.reshape(images, tf.concat([[-1], shape[2:]], axis=0))
    patches = tf.reshape(tf.nn.conv2d(rows, copies, strides, "SAME"), [shape[0], -1, patch])
    mean = tf.reduce_mean(patches, axis=1, keepdims=True)
    centered = patches - mean
    count = tf.cast(tf.shape(patches)[1], images.dtype)
    covariance = tf.matmul(centered, centered, transpose_a=True) / count
    return PatchStatistics(tf.squeeze(mean, 1), covariance)


def standardize(x: tf.Tensor, axes: list[int], epsilon: float) -> tuple[tf.Tensor, tf.Tensor]:
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
        centered = x - tf.reduce_mean(x, axes, keepdims=True)
        variance = tf.reduce_mean(tf.square(centered), axes, keepdims=True)
        scale = tf.math.rsqrt(variance + epsilon)

        def gradient(dz: tf.Tensor, dscale: tf.Tensor) -> tf.Tensor:
            # Again, as then the gradient of this gradient is written by hand, too; in a graph
            # the optimizer merges the two.
            z, scale = standardized(x)
            count = tf.cast(tf.size(x) / tf.size(scale), x.dtype)
            along_z = tf.reduce_mean(dz * z, axes, keepdims=True) + scale * dscale / count
            return scale * (dz - z * along_z - tf.reduce_mean(dz, axes, keepdims=True))

        return (centered * scale, scale), gradient

    return standardized(x)


class _OffsetNormalization(keras.layers.Layer):
    def __init__(self, epsilon: float = 1e-3, **kwargs: Any):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape: Any) -> None:
        """Create beta, [features]."""
        self.beta = self.add_weight(name="beta", shape=[input_shape[-1]], initializer="zeros")
        self.built = True

    def _normalize(self, x: tf.Tensor, axes: list[int]) -> tf.Tensor:
        return standardize(x, axes, self.epsilon)[0] + self.beta

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "epsilon": self.epsilon}


@keras.utils.register_keras_serializable("maml_tnet")
class TaskBatchNormalization(_OffsetNormalization):
    """Normalize each feature over the examples and positions of its own task."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """[examples, height, width, tasks, features], same out."""
        return self._normalize(x, [0, 1, 2])

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

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """[examples, height, width, tasks, features], same out."""
        return self._normalize(x, [1, 2, 4])
