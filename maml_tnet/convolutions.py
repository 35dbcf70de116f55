"""The convolutions of all tasks at once, every task's examples with the task's own kernel.

Activations are [examples, height, width, tasks, features], kernels [size, size, features, tasks,
filters]. There are three ways to compute the same, chosen by measurement (benchmarks/README.md):
tasks as groups of channels, tasks as examples while they still share the kernel, and patches where
the output is so small that a grouped convolution spends its time on rearranging the kernels.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from maml_tnet.patches import unfold
from maml_tnet.task_axis import merge_tasks, sizes, split_tasks

# Outputs of at most this many positions (Omniglot's last layer: 2 x 2) are computed from patches.
PATCH_POSITIONS = 4


def task_convolution(x: tf.Tensor, kernel: tf.Tensor, strides: int) -> tf.Tensor:
    """One SAME convolution of every task's examples with the task's own kernel.

    Args:
        x: [examples, height, width, tasks, features].
        kernel: [size, size, features, tasks, filters].
        strides: in both directions.

    Returns:
        [examples, height / strides, width / strides, tasks, filters].
    """
    if _is_small(x, strides):
        return _patch_convolution(x, kernel, strides)
    if _groups_have_gradients(x.dtype):
        y = tf.nn.conv2d(merge_tasks(x), merge_tasks(kernel), strides, "SAME")
        return split_tasks(y, kernel.shape[-1])
    return _task_by_task(
        lambda a, w: tf.nn.conv2d(a, w, strides, "SAME"), x, kernel, tasks=x.shape[-2]
    )


def _is_small(x: tf.Tensor, strides: int) -> bool:
    """Whether the convolution of x is better done from patches, and can be."""
    _, height, width, _, _ = x.shape
    positions = -(-height // strides) * -(-width // strides)
    return x.shape.is_fully_defined() and positions <= PATCH_POSITIONS


def _patch_convolution(x: tf.Tensor, kernel: tf.Tensor, strides: int) -> tf.Tensor:
    size, _, features, tasks, filters = kernel.shape
    examples, height, width, _, _ = x.shape
    kernels = tf.reshape(
        tf.transpose(kernel, [3, 0, 1, 2, 4]), [tasks, size * size * features, filters]
    )
    y = tf.matmul(unfold(x, size, strides), kernels)
    y = tf.reshape(y, [tasks, examples, -(-height // strides), -(-width // strides), filters])
    return tf.transpose(y, [1, 2, 3, 0, 4])


def shared_convolution(
    x: tf.Tensor, kernel: tf.Tensor, change: tf.Tensor, strides: int
) -> tf.Tensor:
    """`task_convolution(x, kernel + change)` for a change that is zero.

    A convolution whose kernel all tasks share takes the tasks as examples, which is faster than
    taking them as groups. Only the derivative with respect to `change` is every task's own.

    Args:
        x: [examples, height, width, tasks, features].
        kernel: [size, size, features, filters].
        change: zeros [size, size, features, tasks, filters].
        strides: in both directions.
    """
    examples, height, width, tasks, features = sizes(x)

    def tasks_as_examples(a: tf.Tensor) -> tf.Tensor:
        a = tf.transpose(a, [0, 3, 1, 2, 4])
        return tf.reshape(a, [-1, *sizes(a)[2:]])

    def undo(a: tf.Tensor) -> tf.Tensor:
        a = tf.reshape(a, [examples, tasks, *sizes(a)[1:]])
        return tf.transpose(a, [0, 2, 3, 1, 4])

    @tf.custom_gradient
    def convolution(x: tf.Tensor, kernel: tf.Tensor, change: tf.Tensor) -> Any:
        rows = tasks_as_examples(x)
        y = undo(tf.nn.conv2d(rows, kernel, strides, "SAME"))

        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            dy_rows = tasks_as_examples(dy)
            dx = tf.nn.conv2d_transpose(
                dy_rows, kernel, [examples * tasks, height, width, features], strides, "SAME"
            )
            dkernel = _kernel_gradient(rows, dy_rows, kernel.shape, strides)
            return undo(dx), dkernel, _change_gradient(x, dy, change, strides)

        return y, gradient

    return convolution(x, kernel, change)


def _change_gradient(x: tf.Tensor, dy: tf.Tensor, change: tf.Tensor, strides: int) -> tf.Tensor:
    """The gradient [size, size, features, tasks, filters] with respect to every task's kernel."""
    if _is_small(x, strides):
        size, _, features, tasks, filters = change.shape
        rows = tf.reshape(tf.transpose(dy, [3, 0, 1, 2, 4]), [tasks, -1, filters])
        gradient = tf.matmul(unfold(x, size, strides), rows, transpose_a=True)
        gradient = tf.reshape(gradient, [tasks, size, size, features, filters])
        return tf.transpose(gradient, [1, 2, 3, 0, 4])
    if _groups_have_gradients(x.dtype):
        shape = tf.shape(merge_tasks(change))
        merged = _kernel_gradient(merge_tasks(x), merge_tasks(dy), shape, strides)
        return tf.reshape(merged, tf.shape(change))
    shape = [*change.shape[:-2], change.shape[-1]]
    return _task_by_task(
        lambda a, d: _kernel_gradient(a, d, shape, strides), x, dy, tasks=change.shape[-2]
    )


def _task_by_task(
    operation: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    first: tf.Tensor,
    second: tf.Tensor,
    tasks: int | None,
) -> tf.Tensor:
    """Do one convolution, or its gradient, for each task: where TensorFlow has none for groups.

    Args:
        operation: of one task's slices of the two arrays, without the task axis.
        first: [., ., ., tasks, features].
        second: likewise; the other sizes may differ.
        tasks: their number, which unrolls them; None makes a loop for a graph that does not know.

    Returns:
        [., ., ., tasks, features]: the results of `operation`, [., ., ., features], of all tasks.
    """
    if tasks is not None:
        slices = zip(tf.unstack(first, tasks, -2), tf.unstack(second, tasks, -2), strict=True)
        return tf.stack([operation(*pair) for pair in slices], axis=-2)
    results = tf.map_fn(
        lambda pair: operation(*pair),
        tuple(tf.transpose(a, [3, 0, 1, 2, 4]) for a in (first, second)),
        fn_output_signature=first.dtype,
    )
    return tf.transpose(results, [1, 2, 3, 0, 4])


def _kernel_gradient(
    x: tf.Tensor, dy: tf.Tensor, shape: tf.Tensor | Sequence[int], strides: int
) -> tf.Tensor:
    return tf.raw_ops.Conv2DBackpropFilter(
        input=x,
        filter_sizes=shape,
        out_backprop=dy,
        strides=[1, strides, strides, 1],
        padding="SAME",
    )


@functools.cache
def _groups_have_gradients(dtype: tf.DType) -> bool:
    """Whether TensorFlow can differentiate a grouped convolution here.

    On a CPU only oneDNN's kernels can, which are there for float32 on x86 unless switched off.
    """

    with tf.init_scope():
        x, dy = tf.ones([1, 4, 4, 4], dtype), tf.ones([1, 2, 2, 4], dtype)
        try:
            _kernel_gradient(x, dy, [3, 3, 2, 4], strides=2)
        except tf.errors.OpError:
            return False
    return True
