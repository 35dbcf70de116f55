"""The first block's convolution, T and batch normalization as one convolution.

A convolution of data is linear in patches whose moments are known beforehand, so the mean and the
variance of its output are a^T mu and a^T C a for a column a of the kernel. The large activations of
a network's first layer are thus never read or written to be normalized.
"""

from typing import NamedTuple

import tensorflow as tf

from maml_tnet.kernels.convolutions import same_padding
from maml_tnet.kernels.task_axis import sizes


class PatchStatistics(NamedTuple):
    """First and second moments of the image patches under a convolution's kernel.

    Attributes:
        mean: mu, [tasks, patch], the mean patch of each task's images.
        covariance: C, [tasks, patch, patch], of the patches' values.
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
    tasks, (height, width, channels) = sizes(images)[0], images.shape[2:]
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


def fold(
    kernel: tf.Tensor, statistics: PatchStatistics, beta: tf.Tensor, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Put the batch normalization of `conv(images, kernel)` into the kernel itself.

    Args:
        kernel: [size, size, channels, tasks, features].
        statistics: of the images.
        beta: the normalization's offset, [features].
        epsilon: added to the variance.

    Returns:
        kernel of the same shape and offset [tasks, features] such that
        `conv(images, kernel) + offset` equals the normalized `conv(images, original kernel)`.
    """
    columns = tf.reshape(kernel, [-1, *sizes(kernel)[-2:]])
    covariance = tf.einsum("tij,jtf->itf", statistics.covariance, columns)
    variance = tf.reduce_sum(columns * covariance, axis=0)
    mean = tf.reduce_sum(tf.transpose(statistics.mean)[..., tf.newaxis] * columns, axis=0)
    scale = tf.math.rsqrt(variance + epsilon)
    return kernel * scale, beta - mean * scale
