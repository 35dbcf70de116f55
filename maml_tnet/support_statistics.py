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

import tensorflow as tf


def standardize_with_support(x: tf.Tensor, support: int | tf.Tensor, epsilon: float) -> tf.Tensor:
    """Standardize support images together, and each query with them.

    Args:
        x: [support + queries, height, width, tasks, features], the support images first.
        support: n, how many they are.
        epsilon: added to the variance.

    Returns:
        of the shape of x.
    """
    n = tf.cast(support, x.dtype)
    own_mean = tf.reduce_mean(x, [1, 2], keepdims=True)
    centered = x - own_mean
    own_variance = tf.reduce_mean(tf.square(centered), [1, 2], keepdims=True)

    def over_support(values: tf.Tensor) -> tf.Tensor:
        total = tf.reduce_sum(values[:support], axis=0, keepdims=True)
        return total / tf.maximum(n, 1)

    mean = over_support(own_mean)
    variance = over_support(own_variance + tf.square(own_mean - mean))

    query_mean, query_variance = own_mean[support:], own_variance[support:]
    joint_mean = mean + (query_mean - mean) / (n + 1)
    joint_variance = (
        n * (variance + tf.square(mean - joint_mean))
        + query_variance
        + tf.square(query_mean - joint_mean)
    ) / (n + 1)

    means = tf.concat([tf.repeat(mean, support, axis=0), joint_mean], axis=0)
    variances = tf.concat([tf.repeat(variance, support, axis=0), joint_variance], axis=0)
    scale = tf.math.rsqrt(variances + epsilon)
    return centered * scale + (own_mean - means) * scale
