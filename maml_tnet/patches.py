"""Patches: the inputs of each output of a convolution, gathered so that it is a matrix product."""

import functools
from typing import Any

import numpy as np
import tensorflow as tf


def unfold(x: tf.Tensor, size: int, strides: int) -> tf.Tensor:
    """Gather the SAME-padded `size` x `size` patches of every task's activations.

    Args:
        x: [examples, height, width, tasks, features], of a shape that the graph knows.
        size: height and width of a patch.
        strides: between patches, in both directions.

    Returns:
        [tasks, examples * outputs, size * size * features].
    """
    examples, height, width, tasks, features = x.shape
    sources, targets = _rows(examples, height, width, tasks, size, strides)

    # Each is the other's transpose, and so the other's gradient.
    @tf.custom_gradient
    def gather_patches(x: tf.Tensor) -> Any:
        patches = _gather_rows(tf.reshape(x, [-1, features]), sources)
        return tf.reshape(patches, [tasks, -1, size * size * features]), add_patches

    @tf.custom_gradient
    def add_patches(patches: tf.Tensor) -> Any:
        parts = _gather_rows(tf.reshape(patches, [-1, features]), targets)
        x = tf.reshape(tf.reduce_sum(parts, axis=1), [examples, height, width, tasks, features])
        return x, gather_patches

    return gather_patches(x)


def _gather_rows(rows: tf.Tensor, indices: np.ndarray) -> tf.Tensor:
    """`rows[indices]`, where the index one past the last row means zeros."""
    return tf.gather(tf.pad(rows, [[0, 1], [0, 0]]), indices)


def same_padding(extent: int, size: int, strides: int) -> tuple[int, int]:
    """How many zeros SAME puts before and after `extent` values."""
    missing = max((-(-extent // strides) - 1) * strides + size - extent, 0)
    return missing // 2, missing - missing // 2


@functools.lru_cache(maxsize=64)
def _rows(
    examples: int, height: int, width: int, tasks: int, size: int, strides: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which row of the activations is which row of the patches, and the other way round.

    Returns:
        sources: [tasks, examples * outputs * size * size], rows of activations.
        targets: [activations, uses], all rows of patches that one of activations appears in.
    """
    rows = np.arange(examples * height * width * tasks).reshape(examples, height, width, tasks)
    count = rows.size
    sides = [same_padding(extent, size, strides) for extent in (height, width)]
    pads = [(0, 0), *sides, (0, 0)]
    padded = np.pad(rows, pads, constant_values=count)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    windows = windows[:, ::strides, ::strides]  # examples, *outputs, tasks, size, size
    sources = windows.transpose(3, 0, 1, 2, 4, 5).reshape(tasks, -1)

    order = np.argsort(sources, axis=None, kind="stable")
    uses = np.bincount(sources.ravel(), minlength=count + 1)[:count]
    targets = np.full([count, uses.max()], sources.size)
    targets[np.arange(uses.max()) < uses[:, None]] = order[: uses.sum()]
    return sources.astype(np.int32), targets.astype(np.int32)
