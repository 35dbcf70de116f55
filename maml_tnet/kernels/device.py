"""Which form of a computation is taken on the device at hand: all such choices are made here.

| | on a CPU | on a GPU |
| --- | --- | --- |
| convolutions of several tasks | as groups of channels, which oneDNN does well, or where it is not, task by task | as products over patches: cuDNN is slow at the gradients of groups |
| statistics of the first block | of the kernel and the images' patches: fewer large arrays are read and written | of the activations, as everywhere: products have 10 bits there (TF32), sums 24 |
| tasks at a time | as many as keep the first activations in a core's cache | all |
| XLA | for the regressor, whose products are small | for all: it starts one program where there would be thousands of small ones |
| training images | in a file that is mapped, read by the host | in the device's memory, if they are not too many |

On a CPU both columns give the same to rounding, which tests compare.
"""  # noqa: E501  (a table)

import functools
from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class Forms:
    """The forms for a device.

    Attributes:
        patches: convolutions are products over patches.
        fold: the first block's batch normalization goes into its kernel (`folding`).
        in_parts: a meta-batch is computed in parts (`parts`).
        xla_of_convolutions: image networks are compiled with XLA, as the regressor always is.
        image_bytes: so many bytes of training images may lie in the device's memory.
    """

    patches: bool
    fold: bool
    in_parts: bool
    xla_of_convolutions: bool
    image_bytes: int


CPU = Forms(patches=False, fold=True, in_parts=True, xla_of_convolutions=False, image_bytes=0)
# miniImagenet's training images are 0.8 GB.
GPU = Forms(
    patches=True, fold=False, in_parts=False, xla_of_convolutions=True, image_bytes=4 * 2**30
)


def forms() -> Forms:
    """The forms for this process: a GPU's if TensorFlow uses one."""
    return GPU if tf.config.get_visible_devices("GPU") else CPU


def onednn_computes() -> bool:
    """Whether convolutions of float32 are oneDNN's."""
    return forms() is CPU and groups_have_gradients(tf.float32)


@functools.cache
def groups_have_gradients(dtype: tf.DType) -> bool:
    """Whether TensorFlow can differentiate a convolution in groups on this CPU.

    Only oneDNN's kernels can, which are there for float32 on x86 unless switched off.
    """
    with tf.init_scope(), tf.device("CPU"):
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
