"""How an image file becomes an input of a network."""

from dataclasses import dataclass

import numpy as np

from data_generators.images.decoding import read_image
from data_generators.images.file_tree import FileTree


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
