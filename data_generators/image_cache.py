"""Resized images in one memory-mapped file."""

import logging
from pathlib import Path

import numpy as np

from data_generators.atomic_file import atomic_write
from data_generators.errors import DataError
from data_generators.file_tree import FileTree
from data_generators.image_decoding import read_image
from data_generators.progress import Progress

_log = logging.getLogger(__name__)


def open_image_cache(path: Path, tree: FileTree, files: list[str], side: int) -> np.ndarray:
    """Map the file `path` of resized RGB images, making it first where it is not there.

    One image at a time is in memory while it is made.

    Returns:
        read-only uint8 [len(files), side, side, 3], in the order of `files`.

    Raises:
        DataError: an image is unreadable (the line names it), or `path` cannot be written.
    """
    shape = (len(files), side, side, 3)
    images = _map(path, shape)
    if images is None:
        _build(path, tree, files, shape)
        images = _map(path, shape)
    if images is None:
        raise DataError(f"cannot read {path} back after writing it")
    return images


def _map(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    if not path.is_file():
        return None
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:  # Also a file shorter than its header says.
        _log.warning("%s is damaged (%s): reading the images again", path, error)
        return None
    if images.shape != shape or images.dtype != np.uint8:
        _log.warning("%s is not the cache of these images: reading them again", path)
        return None
    return images


def _build(path: Path, tree: FileTree, files: list[str], shape: tuple[int, ...]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    try:
        # Plain writes, not a memory map: on a full disk those raise, a map kills the process.
        with (
            atomic_write(path) as output,
            Progress(f"Reading {tree.root}", len(files), "images") as progress,
        ):
            np.lib.format.write_array_header_1_0(output, header)
            for done, file in enumerate(files, start=1):
                output.write(read_image(tree, file, "RGB", shape[1]).tobytes())
                progress.update(done)
    except OSError as error:
        raise DataError(
            f"cannot write the cache of resized images, {path}: {error.strerror}"
        ) from error
