"""Training that is started again with a backup of Keras goes on in its dataset, too.

Keras restores the weights, the optimizer and the number of the epoch; a dataset of several epochs
it begins anew.
"""

import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow import keras


def going_on(
    learner: keras.Model,
    data: tf.data.Dataset,
    callbacks: Any,
    rest: Callable[[tf.Tensor], tf.data.Dataset],
    *,
    elsewhere: bool = False,
) -> tuple[tf.data.Dataset, Any]:
    """What `fit` takes in place of a dataset and callbacks, to go on from a backup if there is one.

    Args:
        learner: whose optimizer counts what is done.
        data: given to `fit`.
        callbacks: given to `fit`, of which a `keras.callbacks.BackupAndRestore` may have a backup.
        rest: (iterations done with it, int64) -> the dataset without what they took.
        elsewhere: whether another process may have the backup.
    """
    given = tf.nest.flatten(callbacks or [])
    backups = [c for c in given if isinstance(c, keras.callbacks.BackupAndRestore)]
    if not any(elsewhere or os.path.isdir(backup.backup_dir) for backup in backups):
        return data, callbacks

    def iterations() -> int:
        return int(tf.convert_to_tensor(learner.optimizer.iterations))

    start = iterations()
    done = tf.Variable(0, dtype=tf.int64, trainable=False)

    def count(epoch: int, logs: Any) -> None:
        done.assign(iterations() - start)

    # What is restored is known only when `fit` has begun; a new iterator reads it with its first
    # element, and once.
    lazily = tf.data.Dataset.range(1).flat_map(lambda _: rest(done.read_value()))
    return lazily, [*given, keras.callbacks.LambdaCallback(on_epoch_begin=count)]


def rest_of_episodes(episodes: tf.data.Dataset) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """`rest` of a dataset of one episode an iteration."""
    size = int(episodes.cardinality())
    return lambda done: episodes.skip(done % size if size > 0 else done)


def rest_of_spans(
    spans: tf.data.Dataset, steps_per_epoch: int | None
) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """`rest` of a dataset of spans (start, stop) of iterations.

    Args:
        spans: of `spans.checked_spans`.
        steps_per_epoch: as `fit` has it; without it every epoch takes the whole dataset.
    """

    def iterations(span: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        start, stop = (tf.cast(part, tf.int64) for part in span)
        return stop - start

    ends = steps_per_epoch is None or int(spans.cardinality()) >= 0

    def counted(total: tf.Tensor, span: Any) -> tuple[tf.Tensor, Any]:
        return total + iterations(span), (total, span)

    def rest(done: tf.Tensor) -> tf.data.Dataset:
        zero = tf.constant(0, tf.int64)
        if ends:
            size = spans.reduce(zero, lambda total, span: total + iterations(span))
            done = tf.math.floormod(done, tf.maximum(size, 1))
        return (
            spans.scan(zero, counted)
            .filter(lambda before, _: before >= done)
            .map(lambda _, span: span)
        )

    return rest
