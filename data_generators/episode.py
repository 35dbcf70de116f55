"""The one task type that every data generator draws."""

import numbers
from typing import NamedTuple

import tensorflow as tf


class Episode(NamedTuple):
    """A batch of tasks, each split into the examples to adapt on and those to answer.

    Attributes:
        support_x: inputs to adapt on, float32 [tasks, support, *input_shape].
        support_y: regression targets or one-hot labels, float32 [tasks, support, outputs].
        query_x: inputs to predict, float32 [tasks, query, *input_shape].
        query_y: their targets, float32 [tasks, query, outputs].
    """

    support_x: tf.Tensor
    support_y: tf.Tensor
    query_x: tf.Tensor
    query_y: tf.Tensor


def check_counts(*, tasks: int = 1, shot: int, query: int) -> None:
    """Check how much an episode is asked to have.

    Raises:
        ValueError: one of the numbers is not whole, or too small.
    """
    for name, value, least in (("tasks", tasks, 1), ("shot", shot, 0), ("query", query, 0)):
        if not isinstance(value, numbers.Integral) or value < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")


def split_episode(x: tf.Tensor, y: tf.Tensor, support: int) -> Episode:
    """Take the first `support` examples of every task as support, the others as query."""
    return Episode(x[:, :support], y[:, :support], x[:, support:], y[:, support:])
