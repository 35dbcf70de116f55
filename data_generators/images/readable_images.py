"""A user's images, of which some may be unreadable."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_generators.errors import DataError
from data_generators.images.cache import open_image_cache, read_rows
from data_generators.images.decoding import read_image
from data_generators.images.file_tree import FileTree


class ReadableImages(NamedTuple):
    """Resized images, in the order of their files.

    Attributes:
        pixels: uint8 [files, side, side, channels], memory-mapped; unreadable images are black.
        unreadable: name of a file that cannot be read -> the line that says why.
    """

    pixels: np.ndarray
    unreadable: dict[str, str]


def open_readable(
    path: Path, tree: FileTree, files: Sequence[str], side: int, mode: str
) -> ReadableImages:
    """Open the cache of some images, see `open_image_cache`, some of which may be unreadable.

    What was unreadable is tried again, as the reason, such as a permission, may be gone; if it is,
    the cache is made anew.

    Raises:
        DataError: the cache cannot be written.
    """
    while True:
        cache = open_image_cache(path, tree, files, side, mode, skip_unreadable=True)
        readable = read_rows(cache["readable"], np.arange(len(files)))
        unread = [file for file, flag in zip(files, readable, strict=True) if not flag]
        unreadable = _why(tree, unread, side, mode)
        if len(unreadable) == len(unread):
            return ReadableImages(cache["pixels"], unreadable)
        del cache  # Windows removes no file that is mapped.
        path.unlink(missing_ok=True)


def _why(tree: FileTree, files: Sequence[str], side: int, mode: str) -> dict[str, str]:
    reasons = {}
    for file in files:
        try:
            read_image(tree, file, mode, side)
        except DataError as error:
            reasons[file] = str(error)
    return reasons
