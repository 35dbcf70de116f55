"""Convolutions whose gradient is not to be trusted to oneDNN.

They have kernels of one pixel, strides, and fewer channels than oneDNN takes at once (of a
transposed one, filters). Its gradient by such a kernel writes past the end of its memory: the
process dies, waits for ever, or learns from other numbers (uxlfoundation/oneDNN issue 6035).
"""

from collections.abc import Container, Iterable
from typing import Any

import tensorflow as tf
from tensorflow import keras

from maml_tnet.kernels import device

BLOCK = 16  # channels that oneDNN takes at once with AVX-512; with AVX2 it takes 8
LAYERS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.ConvLSTM1D,
    keras.layers.ConvLSTM2D,
    keras.layers.ConvLSTM3D,
)
OPERATIONS = ("Conv2D", "Conv2DBackpropInput", "Conv3D", "Conv3DBackpropInputV2")


def check_strided_convolution(layer: Any) -> None:
    """Refuse a layer that is such a convolution.

    Args:
        layer: of any kind, built.

    Raises:
        ValueError: it is, it trains, and oneDNN computes here.
    """
    if isinstance(layer, LAYERS) and layer.trainable:
        kernel = getattr(layer, "cell", layer).kernel
        if _is_overrun(kernel.shape, layer.strides):
            raise _refusal(f"the layer {layer.name!r}")


def check_strided_operations(operations: Iterable[tf.Operation], learned: Container[str]) -> None:
    """Refuse operations that are such a convolution, in layers of one's own.

    Args:
        operations: of a graph.
        learned: names of those that depend on what is learned.

    Raises:
        ValueError: one is, its kernel is learned, and oneDNN computes here.
    """
    for operation in operations:
        if operation.type in OPERATIONS and operation.inputs[1].op.name in learned:
            kernel = operation.inputs[1].shape
            if kernel.rank is not None and _is_overrun(kernel, operation.get_attr("strides")):
                raise _refusal(f"{operation.name} ({operation.type})")


def _is_overrun(kernel: Any, strides: Iterable[int]) -> bool:
    """Whether this is one: of a kernel [..., channels, filters]."""
    *size, channels, _ = kernel
    return (
        all(extent == 1 for extent in size)
        and max(strides) > 1
        and channels is not None
        and channels < BLOCK
        and device.onednn_computes()
    )


def _refusal(what: str) -> ValueError:
    return ValueError(
        f"{what} has a kernel of one pixel, strides and fewer than {BLOCK} channels, for which "
        "oneDNN's gradient writes over other memory: take strides=1 on inputs[:, ::2, ::2] or on "
        "pooled inputs, or set TF_ENABLE_ONEDNN_OPTS=0 before TensorFlow is imported"
    )
