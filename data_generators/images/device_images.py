"""Images in the memory of the device that draws from them."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

WORD = 8  # bytes


class DeviceImages:
    """Images of bytes, of which tasks gather some on the device where they are computed.

    They are kept as words of 64 bits: TensorFlow gathers no bytes on a GPU, and 32-bit integers
    that are given to a compiled function it keeps in the host's memory.

    Args:
        read: reads all images, uint8 [images, *shape]; called once for each device.
        shape: of an image.
    """

    def __init__(self, read: Callable[[], np.ndarray], shape: Sequence[int]):
        self._read = read
        self._shape = list(shape)
        self._words: dict[str, tf.Tensor] = {}

    def gather(self, places: tf.Tensor) -> tf.Tensor:
        """The images at int32 places [tasks, examples], uint8 [tasks, examples, *shape]."""
        size = math.prod(self._shape)
        words = tf.gather(self._on(tf.zeros([]).device), places)
        flat = tf.reshape(tf.bitcast(words, tf.uint8), [-1, words.shape[-1] * WORD])
        return tf.reshape(flat[:, :size], [-1, *places.shape[1:], *self._shape])

    def _on(self, device: str) -> tf.Tensor:
        """All images, int64 [images, words], on the device of this name."""
        if device not in self._words:
            images = self._read().reshape(-1, math.prod(self._shape))
            if missing := -images.shape[1] % WORD:
                images = np.pad(images, [(0, 0), (0, missing)])
            with tf.init_scope(), tf.device(device):
                self._words[device] = tf.constant(np.ascontiguousarray(images).view(np.int64))
        return self._words[device]
