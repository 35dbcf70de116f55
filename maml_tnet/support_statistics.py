"""Normalization of each query by the support set and itself, whatever other queries there are.

Batch normalization by the queries' own statistics answers them together: the answer to one depends
on which others are asked, and a query alone is mostly answered wrongly. Here the batch of a query
is its task's support set with that one query in it. With n support images of mean m and variance v
and a query of mean m' and variance v', each over the positions of one feature, that batch has

    M = (n m + m') / (n + 1)
    V = (n (v + (m - M)^2) + v' + (m' - M)^2) / (n + 1)

while the support set itself is normalized by m and v, as without queries. With no support images
(n = 0) every image is normalized by itself.

Statistics of the support set and of each input, weighted by the size of the support set, are what
TaskNorm blends, by a learned weight in place of 1 / (n + 1) (Bronskill et al., arXiv 2003.03284).
"""

from typing import NamedTuple

import tensorflow as tf

from maml_tnet.kernels.task_axis import sizes


class SupportStatistics(NamedTuple):
    """What the normalization of a query needs of a task's support set.

    Attributes:
        size: n, a number.
        mean: m of every feature, [1, 1, 1, tasks, features].
        variance: v, of the same shape.
    """

    size: tf.Tensor
    mean: tf.Tensor
    variance: tf.Tensor


def support_statistics(x: tf.Tensor) -> SupportStatistics:
    """n, m and v of support images [support, height, width, tasks, features]."""
    own_mean, _, own_variance = _of_each_image(x)
    return _of_all_images(own_mean, own_variance)


def standardize_queries(x: tf.Tensor, support: SupportStatistics, epsilon: float) -> tf.Tensor:
    """Standardize each query with the support set whose statistics are known.

    Args:
        x: [queries, height, width, tasks, features].
        support: of the same tasks.
        epsilon: added to the variance.

    Returns:
        of the shape of x.
    """
    own_mean, centered, own_variance = _of_each_image(x)
    mean, variance = _with_query(support, own_mean, own_variance)
    scale = tf.math.rsqrt(variance + epsilon)
    return centered * scale + (own_mean - mean) * scale


def standardize_with_support(x: tf.Tensor, support: int | tf.Tensor, epsilon: float) -> tf.Tensor:
    """Standardize support images together, and each query with them.

    Args:
        x: [support + queries, height, width, tasks, features], the support images first.
        support: n, how many they are.
        epsilon: added to the variance.

    Returns:
        of the shape of x.
    """
    own_mean, centered, own_variance = _of_each_image(x)
    parts = [support, sizes(x)[0] - support]
    support_means, query_means = tf.split(own_mean, parts)
    support_variances, query_variances = tf.split(own_variance, parts)
    of_support = _of_all_images(support_means, support_variances)
    joint_mean, joint_variance = _with_query(of_support, query_means, query_variances)
    copies = [support, 1, 1, 1, 1]
    means = tf.concat([tf.tile(of_support.mean, copies), joint_mean], axis=0)
    variances = tf.concat([tf.tile(of_support.variance, copies), joint_variance], axis=0)
    scale = tf.math.rsqrt(variances + epsilon)
    return centered * scale + (own_mean - means) * scale


def _of_each_image(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Means over positions, what is left without them, and variances."""
    mean = tf.reduce_mean(x, [1, 2], keepdims=True)
    centered = x - mean
    return mean, centered, tf.reduce_mean(tf.square(centered), [1, 2], keepdims=True)


def _of_all_images(own_mean: tf.Tensor, own_variance: tf.Tensor) -> SupportStatistics:
    """Of images together, from each image's own."""
    size = tf.cast(sizes(own_mean)[0], own_mean.dtype)
    divisor = tf.maximum(size, 1)

    def over_images(values: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(values, axis=0, keepdims=True) / divisor

    mean = over_images(own_mean)
    return SupportStatistics(size, mean, over_images(own_variance + tf.square(own_mean - mean)))


def _with_query(
    support: SupportStatistics, query_mean: tf.Tensor, query_variance: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """M and V of the support set with each query in it."""
    n, mean, variance = support
    joint_mean = mean + (query_mean - mean) / (n + 1)
    joint_variance = (
        n * (variance + tf.square(mean - joint_mean))
        + query_variance
        + tf.square(query_mean - joint_mean)
    ) / (n + 1)
    return joint_mean, joint_variance
