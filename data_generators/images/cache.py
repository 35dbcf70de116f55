"""Resized images in one memory-mapped file, which a process that was killed left for the next."""

import fcntl
import io
import logging
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from data_generators.errors import DataError
from data_generators.images.decoding import CHANNELS, read_image
from data_generators.images.file_tree import FileTree
from system.progress import Progress

# So many images are written between two points that survive a machine that stops.
SYNC_EVERY = 256
# Another process that was waited for may have failed where this one can do better.
ATTEMPTS = 3

_log = logging.getLogger(__name__)


def open_image_cache(
    path: Path,
    tree: FileTree,
    files: Sequence[str],
    side: int,
    mode: str = "RGB",
    *,
    skip_unreadable: bool = False,
) -> np.ndarray:
    """Map the file `path` of resized images, making it, or what of it is missing, beforehand.

    One image at a time is in memory while it is made. What is made of it stands in a ".part" file
    beside it, with which the next call goes on, of whichever process; a second process waits.

    Args:
        path: named by a `fingerprint` of the images, so that a part belongs to the same images.
        tree: where the images are.
        files: their names.
        side: height and width to resize to.
        mode: "RGB" or "L".
        skip_unreadable: leave images that cannot be read black, and marked.

    Returns:
        read-only records [len(files)] in the order of `files`: `pixels`, uint8
        [side, side, channels], and `readable`, 0 or 1.

    Raises:
        DataError: an image is unreadable (the line names it), or `path` cannot be written.
    """
    record = np.dtype([("pixels", "u1", (side, side, CHANNELS[mode])), ("readable", "u1")])
    images = _map(path, len(files), record)
    for _ in range(ATTEMPTS):
        if images is not None:
            return images
        try:
            _build(path, tree, files, record, mode, skip_unreadable)
        except OSError as error:
            raise DataError(
                f"cannot write the cache of resized images, {path}: {error.strerror}"
            ) from error
        images = _map(path, len(files), record)
    raise DataError(f"cannot read {path} back after writing it")


def read_rows(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Copy rows of an array; of a mapped file, none of its pages stay with this process.

    They stay in the system's cache, so that reading them again is as fast.
    """
    copy = images[rows]
    owner = images
    while isinstance(owner, np.ndarray) and owner.base is not None:
        owner = owner.base
    if isinstance(owner, mmap.mmap):
        owner.madvise(mmap.MADV_DONTNEED)
    return copy


def _map(path: Path, count: int, record: np.dtype) -> np.ndarray | None:
    if not path.is_file():
        return None
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:  # Also a file shorter than its header says.
        _log.warning("%s is damaged (%s): reading the images again", path, error)
        return None
    if images.shape != (count,) or images.dtype != record:
        _log.warning("%s is not the cache of these images: reading them again", path)
        return None
    return images


def _build(
    path: Path,
    tree: FileTree,
    files: Sequence[str],
    record: np.dtype,
    mode: str,
    skip_unreadable: bool,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with open(part, "a+b") as output:
        fcntl.flock(output, fcntl.LOCK_EX)
        if not _is_file(output, part):
            return  # Another process has finished it meanwhile, or given up.
        try:
            done = _completed(output, len(files), record)
            with Progress(f"Reading {tree.root}", len(files), "images") as progress:
                for file in files[done:]:
                    # Plain writes, not a memory map: on a full disk those raise, a map kills.
                    output.write(_record(tree, file, record, mode, skip_unreadable).tobytes())
                    done += 1
                    if done % SYNC_EVERY == 0:
                        _sync(output)
                    progress.update(done)
            _sync(output)
            os.replace(part, path)
        except Exception:  # Not of a process that is stopped: the next one goes on.
            part.unlink()
            raise


def _is_file(output: BinaryIO, path: Path) -> bool:
    """Whether the open file still has this name."""
    try:
        return os.path.samestat(os.fstat(output.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _completed(output: BinaryIO, count: int, record: np.dtype) -> int:
    """Cut a part down to what certainly reached the disk; return the number of images."""
    header = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(record)
    np.lib.format.write_array_header_1_0(
        header, {"descr": descr, "fortran_order": False, "shape": (count,)}
    )
    size = len(header.getvalue())
    written = (os.fstat(output.fileno()).st_size - size) // record.itemsize
    done = min(written, count) // SYNC_EVERY * SYNC_EVERY
    if done <= 0:
        output.truncate(0)
        output.write(header.getvalue())
        return 0
    output.truncate(size + done * record.itemsize)
    return done


def _record(
    tree: FileTree, file: str, record: np.dtype, mode: str, skip_unreadable: bool
) -> np.ndarray:
    image = np.zeros([], record)
    try:
        pixels = read_image(tree, file, mode, record["pixels"].shape[0])
    except DataError:
        if not skip_unreadable:
            raise
    else:
        image["pixels"] = pixels.reshape(record["pixels"].shape)
        image["readable"] = 1
    return image


def _sync(output: BinaryIO) -> None:
    output.flush()
    os.fsync(output.fileno())
