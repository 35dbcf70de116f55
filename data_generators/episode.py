"""The one task type that every data generator draws."""

import numbers
from typing import NamedTuple

import tensorflow as tf

from data_generators.random_streams import check_split


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


def check_draw(split: str, *, seed: int = 0, tasks: int = 1, shot: int, query: int) -> None:
    """Check what an episode is drawn for and how much it is asked to have.

    Raises:
        ValueError: no such split, or a number is not whole, or too small.
    """
    check_split(split)
    if not is_whole(seed):
        raise ValueError(f"seed must be a whole number, got {seed!r:.100}")
    for name, value, least in (("tasks", tasks, 1), ("shot", shot, 0), ("query", query, 0)):
        if not is_whole(value) or value < least:
            raise ValueError(
                f"{name} must be a whole number of at least {least}, got {value!r:.100}"
            )


def is_whole(value: object) -> bool:
    """Whether a value is a whole number; True and False are none."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def split_episode(x: tf.Tensor, y: tf.Tensor, support: int) -> Episode:
    """Take the first `support` examples of every task as support, the others as query."""
    return Episode(x[:, :support], y[:, :support], x[:, support:], y[:, support:])
