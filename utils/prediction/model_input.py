"""How an image file becomes an input of a trained network; kept beside its SavedModel."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np

from data_generators.images.decoding import read_image
from data_generators.images.file_tree import FileTree
from maml_tnet.export import EXTRA_FILES
from utils.command.configuration import Config
from utils.errors import UsageError

FILE = "input.json"


@dataclass(frozen=True)
class ModelInput:
    """What is done to an image.

    Attributes:
        size: height and width that it is resized to, pixels.
        grey: one channel instead of three.
        ink_is_one: black becomes 1 and white 0, as drawings are given to Omniglot's network.
    """

    size: int
    grey: bool
    ink_is_one: bool

    @classmethod
    def of(cls, config: Config, input_shape: tuple[int, ...]) -> Self:
        """The input of the network that is trained with a configuration."""
        size, _, channels = input_shape
        return cls(size, channels == 1, config.datasource == "omniglot")

    @classmethod
    def beside(cls, model: Path) -> Self:
        """Read what an export wrote.

        Raises:
            UsageError: nothing is there, or not what an export writes.
        """
        file = model / EXTRA_FILES / FILE
        try:
            return cls(**json.loads(file.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(
                f"--model={model} is not a classifier of images exported by this program: "
                f"cannot read {file}: {error}"
            ) from error

    def to_files(self) -> dict[str, str]:
        """The `extra_files` of an export."""
        return {FILE: json.dumps(asdict(self), indent=2) + "\n"}

    def read(self, tree: FileTree, name: str) -> np.ndarray:
        """Read an image as the network takes it, float32 [size, size, channels] in [0, 1].

        Raises:
            DataError: it is unreadable; the line names it.
        """
        pixels = read_image(tree, name, "L" if self.grey else "RGB", self.size)
        x = pixels.reshape(self.size, self.size, -1).astype(np.float32) / 255
        return 1 - x if self.ink_is_one else x
