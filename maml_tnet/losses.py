"""The task losses, whose scale fixes the unit of the inner step size alpha.

Outputs and targets are [examples, tasks, outputs]; a loss is one number per task, [tasks].
`MetaLearner.compile` takes one of the paper's, `squared_error` and `cross_entropy`, that for any
number of classes, `class_mean_cross_entropy`, or a Keras loss. Alpha multiplies the gradient of
what is given: 0.4 with `cross_entropy` on 5-way tasks is 2.0 with
`keras.losses.CategoricalCrossentropy(from_logits=True)`, which is the mean.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow import keras

from maml_tnet.second_derivatives import checked_loss


@keras.utils.register_keras_serializable("maml_tnet")
def squared_error(
    outputs: tf.Tensor, targets: tf.Tensor, support_size: int | tf.Tensor
) -> tf.Tensor:
    """Mean of the squared error over a task's points. `support_size` has no part in it."""
    del support_size
    return tf.reduce_mean(tf.square(outputs - targets), axis=[0, 2])


@keras.utils.register_keras_serializable("maml_tnet")
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


@keras.utils.register_keras_serializable("maml_tnet")
def class_mean_cross_entropy(
    logits: tf.Tensor, labels: tf.Tensor, support_size: int | tf.Tensor
) -> tf.Tensor:
    """The mean over a task's classes of the mean cross-entropy of their examples.

    For models of any number of classes: neither their number N nor how many examples each of them
    has changes the unit of alpha. With as many of every class it is the mean over all examples, and
    `cross_entropy` is N times as large: the paper's alpha of 0.4 for 5 and of 0.1 for 20 classes
    are both 2.0 in this unit.

    Args:
        logits: [examples, tasks, way].
        labels: one-hot, the same shape.
        support_size: has no part in it.
    """
    del support_size
    counts = tf.reduce_sum(labels, axis=0)
    share = tf.math.divide_no_nan(tf.ones_like(counts), counts)
    classes = tf.math.count_nonzero(counts, axis=-1, dtype=counts.dtype)
    weights = tf.reduce_sum(labels * share, axis=-1) / classes
    errors = tf.nn.softmax_cross_entropy_with_logits(labels, logits)
    return tf.reduce_sum(weights * errors, axis=0)


class TaskLoss(NamedTuple):
    """What the meta-learner descends.

    Attributes:
        values: (outputs, targets, support size) -> [tasks], as `cross_entropy`.
        classifies: whether outputs are the logits of classes, of which accuracy is measured and
            probabilities are predicted.
        takes_class_numbers: whether targets are [examples, tasks, 1], numbers of classes, instead
            of one-hot rows.
    """

    values: Callable[[tf.Tensor, tf.Tensor, int | tf.Tensor], tf.Tensor]
    classifies: bool
    takes_class_numbers: bool = False

    def accuracy(self, logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Fraction of each task's examples that are classified as their targets say, [tasks]."""
        labels = tf.argmax(targets, -1, tf.int32)
        if self.takes_class_numbers:
            labels = tf.cast(targets[..., 0], tf.int32)
        correct = tf.argmax(logits, -1, tf.int32) == labels
        return tf.reduce_mean(tf.cast(correct, logits.dtype), axis=0)


def task_loss(loss: Any, *, first_order: bool = False) -> TaskLoss:
    """Make a task loss of what `compile` is given.

    Args:
        loss: one of this module, or a Keras loss: an instance, a function or a name.
            A Keras loss is reduced over a task's examples as it says, by default to their mean.
        first_order: second derivatives are not needed; otherwise a loss whose are wrong is refused
            where it is traced (`second_derivatives`).

    Raises:
        ValueError: none; a Keras loss of probabilities, where networks give logits; one whose
            classes do not exclude each other; or one that is not to be reduced.
    """
    if loss is None:
        raise ValueError("compile with a loss, such as maml_tnet.losses.squared_error")
    if loss is squared_error:
        return TaskLoss(squared_error, classifies=False)
    if loss in (cross_entropy, class_mean_cross_entropy):
        return TaskLoss(loss, classifies=True)
    loss = keras.losses.get(loss)
    if isinstance(loss, keras.losses.Loss):
        name, settings, reduction = loss.name, loss.get_config(), loss.reduction
        values = loss.call
    else:
        name, settings, reduction = loss.__name__, inspect.signature(loss).parameters, "mean"
        values = loss
    classifies = "from_logits" in settings
    if classifies and settings["from_logits"] is not True:
        raise ValueError(
            f"the loss {name!r} takes probabilities, but networks give logits: compile with "
            "keras.losses.CategoricalCrossentropy(from_logits=True)"
        )
    if classifies and "binary" in name:
        raise ValueError(
            f"the loss {name!r} is for classes that do not exclude each other, but probabilities "
            "here sum to 1: compile with keras.losses.CategoricalCrossentropy(from_logits=True) "
            "and an output for each class"
        )
    if reduction in ("none", None):
        raise ValueError(f"the loss {name!r} must be reduced to one number, got {reduction!r}")
    reduce = tf.reduce_sum if reduction == "sum" else tf.reduce_mean

    def reduced(outputs: tf.Tensor, targets: tf.Tensor, support_size: int | tf.Tensor) -> tf.Tensor:
        del support_size
        with checked_loss(outputs, first_order=first_order):
            of_examples = values(targets, outputs)
        if of_examples.shape.rank not in (2, None):
            raise ValueError(
                f"the loss {name!r} must give a number for every example of every task, of targets "
                "and outputs [examples, tasks, outputs], got numbers of shape "
                f"{tuple(of_examples.shape)}: reduce the last axis, and no other"
            )
        return reduce(of_examples, axis=0)

    return TaskLoss(reduced, classifies, takes_class_numbers=classifies and "sparse" in name)
