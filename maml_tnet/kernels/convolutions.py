"""The convolution of several tasks at once, every task's examples with the task's own kernel."""

import functools

import tensorflow as tf

from maml_tnet.kernels.task_axis import merge_tasks, split_tasks


def task_convolution(x: tf.Tensor, kernel: tf.Tensor, strides: int) -> tf.Tensor:
    """One SAME convolution of every task's examples with the task's own kernel.

    The tasks are groups of channels, where TensorFlow can differentiate that, or else one
    convolution after the other.

    Args:
        x: [examples, height, width, tasks, features].
        kernel: [size, size, features, tasks, filters].
        strides: in both directions.

    Returns:
        [examples, height / strides, width / strides, tasks, filters].
    """
    if _groups_have_gradients(x.dtype):
        y = tf.nn.conv2d(merge_tasks(x), merge_tasks(kernel), strides, "SAME")
        return split_tasks(y, kernel.shape[-1])

    def convolution(pair: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        return tf.nn.conv2d(*pair, strides, "SAME")

    tasks = x.shape[-2]
    if tasks is not None:
        pairs = zip(tf.unstack(x, tasks, -2), tf.unstack(kernel, tasks, -2), strict=True)
        return tf.stack([convolution(pair) for pair in pairs], axis=-2)
    by_task = (tf.transpose(a, [3, 0, 1, 2, 4]) for a in (x, kernel))
    results = tf.map_fn(convolution, tuple(by_task), fn_output_signature=x.dtype)
    return tf.transpose(results, [1, 2, 3, 0, 4])


@functools.cache
def _groups_have_gradients(dtype: tf.DType) -> bool:
    """Whether TensorFlow can differentiate a grouped convolution here.

    On a CPU only oneDNN's kernels can, which are there for float32 on x86 unless switched off.
    """
    with tf.init_scope():
        x, dy = tf.ones([1, 4, 4, 4], dtype), tf.ones([1, 2, 2, 4], dtype)
        try:
            tf.raw_ops.Conv2DBackpropFilter(
                input=x,
                filter_sizes=[3, 3, 2, 4],
                out_backprop=dy,
                strides=[1, 2, 2, 1],
                padding="SAME",
            )
        except tf.errors.OpError:
            return False
    return True
