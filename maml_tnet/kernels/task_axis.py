"""The task axis, which in all activations is second to last: [examples, ..., tasks, features]."""

import tensorflow as tf


def merge_tasks(x: tf.Tensor) -> tf.Tensor:
    """Join the last two axes: [..., tasks, features] -> [..., tasks * features]."""
    *others, tasks, features = sizes(x)
    return tf.reshape(x, [*others, tasks * features])


def split_tasks(x: tf.Tensor, features: int) -> tf.Tensor:
    """Undo `merge_tasks`: [..., tasks * features] -> [..., tasks, features]."""
    *others, joined = sizes(x)
    # Where the graph knows the number of tasks, it goes on knowing it.
    tasks = joined // features if isinstance(joined, int) else -1
    return tf.reshape(x, [*others, tasks, features])


def sizes(x: tf.Tensor) -> list[int | tf.Tensor]:
    """Return the shape, with a scalar tensor for every size that the graph does not know."""
    if x.shape.is_fully_defined():
        return x.shape.as_list()
    dynamic = tf.shape(x)
    return [dynamic[i] if size is None else size for i, size in enumerate(x.shape)]
