"""The task losses, whose scale fixes the unit of the inner step size alpha.

Outputs and targets are [examples, tasks, outputs]; a loss is one number per task, [tasks].
"""

from collections.abc import Callable

import tensorflow as tf

Loss = Callable[[tf.Tensor, tf.Tensor, int | tf.Tensor], tf.Tensor]


def squared_error(
    outputs: tf.Tensor, targets: tf.Tensor, support_size: int | tf.Tensor
) -> tf.Tensor:
    """Mean of the squared error over a task's points. `support_size` has no part in it."""
    del support_size
    return tf.reduce_mean(tf.square(outputs - targets), axis=[0, 2])


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor, support_size: int | tf.Tensor) -> tf.Tensor:
    """SUM over a task's examples of the cross-entropy, divided by the shot K.

    As in the original MAML code: over the N * K support examples this is N times the mean, and
    alpha = 0.4 of the 5-way recipe is a step size in that unit (with the mean it would be 2.0).

    Args:
        logits: [examples, tasks, way].
        labels: one-hot, the same shape.
        support_size: number of SUPPORT examples of a task, N * K, also when the examples are
            queries.
    """
    total = tf.reduce_sum(tf.nn.softmax_cross_entropy_with_logits(labels, logits), axis=0)
    shot = tf.cast(support_size, logits.dtype) / logits.shape[-1]
    return total / shot


def accuracy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Fraction of a task's examples classified as labelled: [examples, tasks, way] -> [tasks]."""
    correct = tf.argmax(logits, -1, tf.int32) == tf.argmax(labels, -1, tf.int32)
    return tf.reduce_mean(tf.cast(correct, logits.dtype), axis=0)
