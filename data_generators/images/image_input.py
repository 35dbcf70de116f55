"""How an image file becomes an input of a network."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from data_generators.images.decoding import read_image
from data_generators.images.file_tree import FileTree
from data_generators.images.resizing import resize


@dataclass(frozen=True)
class ImageInput:
    """What is done to an image.

    Attributes:
        size: height and width that it is resized to, pixels.
        grey: one channel instead of three.
        ink_is_one: black becomes 1 and white 0, as drawings are given to Omniglot's network.
    """

    size: int
    grey: bool
    ink_is_one: bool

    def read(self, tree: FileTree, name: str) -> np.ndarray:
        """Read an image as the network takes it, float32 [size, size, channels] in [0, 1].

        Raises:
            DataError: it is unreadable; the line names it.
        """
        pixels = read_image(tree, name, "L" if self.grey else "RGB", self.size)
        x = pixels.reshape(self.size, self.size, -1).astype(np.float32) / 255
        return 1 - x if self.ink_is_one else x

    def of_pixels(self, images: tf.Tensor) -> tf.Tensor:
        """Images as a camera or a server has them, as the network takes them: in TensorFlow.

        As `read`, but for what a file may say of its numbers, and for the rounding of the resized
        pixels (`resizing`).

        Args:
            images: uint8 [images, height, width, channels], of three channels or a grey one.

        Returns:
            float32 [images, size, size, channels] in [0, 1].

        Raises:
            tf.errors.InvalidArgumentError: they have no height, no width or other channels.
        """
        shape = tf.shape(images)
        colours = "images must have one channel, grey, or the three of red, green and blue"
        checks = [
            tf.debugging.assert_positive(shape[1:3], "images must have a height and a width"),
            tf.debugging.Assert((shape[3] == 1) | (shape[3] == 3), [colours]),
        ]
        with tf.control_dependencies(checks):
            pixels = tf.cast(images, tf.float32)
        pixels = tf.broadcast_to(pixels, [*tf.unstack(shape[:3]), 3])
        if self.grey:
            # In integers these are Pillow's weights; 65536 in all, so that a grey stays as it is.
            # A sum and no product: oneDNN's kills the process where pictures are one pixel high.
            weights = tf.constant([19595.0, 38470.0, 7471.0])
            pixels = tf.reduce_sum(pixels * weights, axis=-1, keepdims=True)
            pixels = tf.floor((pixels + 32768.0) / 65536.0)
        x = resize(pixels, self.size) / 255.0
        return 1.0 - x if self.ink_is_one else x
