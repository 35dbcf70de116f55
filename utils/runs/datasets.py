"""The datasets that Keras is given: numbers of training iterations, and held-out episodes."""

from collections.abc import Callable, Iterable, Sequence

import tensorflow as tf

from data_generators import Episode, TaskSource

# Held-out tasks measured at a time: as many as fill the machine and fit into its memory.
EVALUATION_BATCH = {
    "sinusoid": 100,
    "polynomial": 100,
    "omniglot": 20,
    "miniimagenet": 4,
    "images": 4,
}


def training_spans(spans: Sequence[tuple[int, int]]) -> tf.data.Dataset:
    """The spans (first iteration, one past the last) that `MetaLearner.train_step` takes."""
    starts, stops = zip(*spans, strict=True)
    dataset = tf.data.Dataset.from_tensor_slices((tf.constant(starts), tf.constant(stops)))
    return _without_autotuning(dataset)


def planned_spans(plan: Callable[[], Iterable[tuple[int, int]]]) -> tf.data.Dataset:
    """The same of a plan, which may be long: its spans are made one after the other."""
    number = tf.TensorSpec([], tf.int32)
    return _without_autotuning(tf.data.Dataset.from_generator(plan, output_signature=(number,) * 2))


def held_out_episodes(
    source: TaskSource,
    split: str,
    *,
    tasks: int,
    batch: int,
    shot: int,
    query: int,
    first: int = 0,
) -> tf.data.Dataset:
    """Batches of a split's tasks from number `first` on, in their order, and their numbers.

    Yields:
        (numbers, episode): int32 [batch], counted from 0, and the tasks of these numbers. The last
        batch is whole, too: together they are at least `tasks`.
    """

    @tf.autograph.experimental.do_not_convert  # it is slow and finds nothing to do
    def draw(start: tf.Tensor) -> tuple[tf.Tensor, Episode]:
        numbers = tf.cast(start, tf.int32) + tf.range(batch)
        return numbers, source.held_out(split, numbers, shot=shot, query=query)

    drawn = tf.data.Dataset.range(first, first + tasks, batch).map(draw)
    return _without_autotuning(drawn.prefetch(1))


def _without_autotuning(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """There is nothing to tune, and the end of an iterator often waits for the tuner.

    The tuner sleeps 10, 20, 40, ... ms, up to a minute, and does not always hear that it is over:
    1.5 seconds of training could last 2.55 (TensorFlow 2.15 and 2.21).
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
