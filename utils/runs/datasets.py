"""The datasets that Keras is given: numbers of training iterations, and held-out episodes."""

from collections.abc import Sequence

import tensorflow as tf

from utils.runs.assembly import TaskSource

# Held-out tasks are the same for every run, method and seed, so that results compare pairwise.
EVALUATION_SEED = 0
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


def held_out_episodes(
    source: TaskSource, split: str, *, tasks: int, batch: int, shot: int, query: int
) -> tf.data.Dataset:
    """Number and draw at least `tasks` episodes of a held-out split, `batch` at a time."""
    batches = -(-tasks // batch)
    draw = tf.data.Dataset.range(batches).map(
        lambda number: source.episodes(
            split, EVALUATION_SEED, tf.cast(number, tf.int32), tasks=batch, shot=shot, query=query
        )
    )
    return _without_autotuning(draw.enumerate().prefetch(1))


def _without_autotuning(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """There is nothing to tune, and the end of an iterator often waits for the tuner.

    The tuner sleeps 10, 20, 40, ... ms, up to a minute, and does not always hear that it is over:
    1.5 seconds of training could last 2.55 (TensorFlow 2.15 and 2.21).
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
