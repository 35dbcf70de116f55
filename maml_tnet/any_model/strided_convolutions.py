"""Convolutions whose gradient is not to be trusted to oneDNN."""

from typing import Any

from tensorflow import keras

from maml_tnet.kernels import device

BLOCK = 16  # channels that oneDNN takes at once with AVX-512; with AVX2 it takes 8
CONVOLUTIONS = keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D


def check_strided_convolution(layer: Any) -> None:
    """Refuse a convolution by kernels of one pixel that passes pixels over and has few channels.

    Where they do not fill a block, oneDNN's gradient by its kernel writes past the end of its
    memory (uxlfoundation/oneDNN issue 6035): the process dies, waits for ever, or learns from
    other numbers.

    Args:
        layer: of any kind, built.

    Raises:
        ValueError: it is such a layer, it trains, and oneDNN computes here.
    """
    if (
        isinstance(layer, CONVOLUTIONS)
        and layer.trainable
        and max(layer.kernel_size) == 1
        and max(layer.strides) > 1
        and layer.kernel.shape[-2] < BLOCK
        and device.onednn_computes()
    ):
        raise ValueError(
            f"the layer {layer.name!r} has a kernel of one pixel, strides and fewer than {BLOCK} "
            "channels, for which oneDNN's gradient writes over other memory: take strides=1 on "
            "inputs[:, ::2, ::2] or on pooled inputs, or set TF_ENABLE_ONEDNN_OPTS=0 before "
            "TensorFlow is imported"
        )
