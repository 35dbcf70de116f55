"""The convolution of several tasks at once, every task's examples with the task's own kernel."""

import tensorflow as tf

from maml_tnet.kernels import device
from maml_tnet.kernels.task_axis import merge_tasks, sizes, split_tasks


def task_convolution(x: tf.Tensor, kernel: tf.Tensor, strides: int) -> tf.Tensor:
    """One SAME convolution of every task's examples with the task's own kernel.

    Args:
        x: [examples, height, width, tasks, features].
        kernel: [size, size, features, tasks, filters].
        strides: in both directions.

    Returns:
        [examples, height / strides, width / strides, tasks, filters].
    """
    if kernel.shape[0] == 1:
        # oneDNN writes over other memory (maml_tnet/any_model/strided_convolutions.py).
        x, strides = x[:, ::strides, ::strides], 1
    if device.forms().patches:
        return over_patches(x, kernel, strides)
    if device.groups_have_gradients(x.dtype):
        return in_groups(x, kernel, strides)
    return task_by_task(x, kernel, strides)


def in_groups(x: tf.Tensor, kernel: tf.Tensor, strides: int) -> tf.Tensor:
    """`task_convolution` with the tasks as groups of channels."""
    y = tf.nn.conv2d(merge_tasks(x), merge_tasks(kernel), strides, "SAME")
    return split_tasks(y, kernel.shape[-1])


def task_by_task(x: tf.Tensor, kernel: tf.Tensor, strides: int) -> tf.Tensor:
    """`task_convolution` as one convolution after the other."""

    def convolution(pair: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        return tf.nn.conv2d(*pair, strides, "SAME")

    tasks = x.shape[-2]
    if tasks is not None:
        pairs = zip(tf.unstack(x, tasks, -2), tf.unstack(kernel, tasks, -2), strict=True)
        return tf.stack([convolution(pair) for pair in pairs], axis=-2)
    by_task = (tf.transpose(a, [3, 0, 1, 2, 4]) for a in (x, kernel))
    results = tf.map_fn(convolution, tuple(by_task), fn_output_signature=x.dtype)
    return tf.transpose(results, [1, 2, 3, 0, 4])


def over_patches(x: tf.Tensor, kernel: tf.Tensor, strides: int) -> tf.Tensor:
    """`task_convolution` as one product: [tasks, rows, patch] x [tasks, patch, filters].

    A patch is size * size strided slices of the images side by side.
    """
    size, features, filters = kernel.shape[0], kernel.shape[2], kernel.shape[4]
    height, width = x.shape[1:3]
    sides = [same_padding(extent, size, strides) for extent in (height, width)]
    padded = tf.pad(tf.transpose(x, [3, 0, 1, 2, 4]), [(0, 0), (0, 0), *sides, (0, 0)])
    rows, columns = -(-height // strides), -(-width // strides)
    down, across = (rows - 1) * strides + 1, (columns - 1) * strides + 1
    slices = [
        padded[:, :, i : i + down : strides, j : j + across : strides]
        for i in range(size)
        for j in range(size)
    ]
    tasks, examples = sizes(padded)[:2]
    patch = size * size * features
    patches = tf.reshape(tf.concat(slices, axis=-1), [tasks, examples * rows * columns, patch])
    kernels = tf.reshape(tf.transpose(kernel, [3, 0, 1, 2, 4]), [tasks, patch, filters])
    y = tf.reshape(tf.matmul(patches, kernels), [tasks, examples, rows, columns, filters])
    return tf.transpose(y, [1, 2, 3, 0, 4])


def same_padding(extent: int, size: int, strides: int) -> tuple[int, int]:
    """How many zeros SAME puts before and after `extent` values."""
    missing = max((-(-extent // strides) - 1) * strides + size - extent, 0)
    return missing // 2, missing - missing // 2
