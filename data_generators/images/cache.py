"""Resized images in one memory-mapped file, which a process that was killed left for the next.

NAME.npy         the images
NAME.npy.json    its checksum, and when the file was last found to have it
.NAME.npy.part, .NAME.npy.sums    what is made of it so far, and checksums of its blocks
"""

import hashlib
import io
import logging
import mmap
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from data_generators.errors import ANOTHER_FOLDER, DataError
from data_generators.images.decoding import CHANNELS, read_image
from data_generators.images.file_tree import FileTree
from system.atomic_file import only_writer
from system.errors import FileError
from system.json_file import read_object, write_json
from system.progress import Progress

# So many images, a block, are written between two points that survive a machine that stops.
SYNC_EVERY = 256
UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
# Bytes of a cache that its user may want to know of beforehand.
LARGE = 2 * 10**9
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

    The whole file is compared with its checksum when its size or one of its times is not what it
    was at the last comparison: after it was made, copied or changed. A file that has none, as
    version 0.2.0 and before wrote it, is made again.

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
        DataError: an image is unreadable (the line names it), or `path` cannot be read or written,
            for one because the disk has not room enough.
    """
    record = np.dtype([("pixels", "u1", (side, side, CHANNELS[mode])), ("readable", "u1")])
    doing = "read"
    try:
        images = _map(path, len(files), record)
        for _ in range(ATTEMPTS):
            if images is not None:
                return images
            doing, seen = "write", _stamp(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            with only_writer(path):
                if _stamp(path) == seen:  # no other process has made it meanwhile
                    _check_room(path, len(files), record)
                    _build(path, tree, files, record, mode, skip_unreadable)
            images = _map(path, len(files), record)
    except OSError as error:
        raise DataError(
            f"cannot {doing} the cache of resized images, {path}: {error.strerror}; "
            f"{ANOTHER_FOLDER}"
        ) from error
    raise DataError(f"cannot read {path} back after writing it")


def read_rows(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Copy rows of an array; of a mapped file, none of its pages stay with this process.

    They stay in the system's cache, so that reading them again is as fast.
    """
    copy = images[rows]
    owner = images
    while isinstance(owner, np.ndarray) and owner.base is not None:
        owner = owner.base
    if isinstance(owner, mmap.mmap) and hasattr(owner, "madvise"):  # Windows has none
        owner.madvise(mmap.MADV_DONTNEED)
    return copy


def _map(path: Path, count: int, record: np.dtype) -> np.ndarray | None:
    if not path.is_file():
        return None
    try:
        _verify(path)
    except FileError as error:
        _log.warning("%s: reading the images again", error)
        return None
    images = np.load(path, mmap_mode="r", allow_pickle=False)
    if images.shape != (count,) or images.dtype != record:
        _log.warning("%s is not the cache of these images: reading them again", path)
        return None
    return images


def _verify(path: Path) -> None:
    """Compare the file with its checksum, unless that was done since it last changed.

    Raises:
        FileError: it is damaged, or has no checksum.
    """
    seal, stamp = read_object(_seal(path)), _stamp(path)
    if seal.get("verified") == stamp:
        return
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != seal.get("digest"):
            raise FileError(f"{path} is damaged: it has not the checksum of {_seal(path)}")
    try:
        write_json(_seal(path), seal | {"verified": stamp})
    except OSError as error:
        _log.info("%s will be compared with its checksum again: %s", path, error)


def _stamp(path: Path) -> list[int] | None:
    """What changes when the file does."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _seal(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _check_room(path: Path, count: int, record: np.dtype) -> None:
    """Refuse what the disk cannot hold, before images are read for hours; say what takes much."""
    bytes_due = count * record.itemsize
    part = _part(path)
    done = part.stat().st_size if part.exists() else 0
    free = shutil.disk_usage(path.parent).free
    what = (
        f"{count} images of {record['pixels'].shape[0]} pixels a side take {_in_words(bytes_due)}"
    )
    if bytes_due - done > free:
        raise DataError(
            f"{what} in {path.parent}, where {_in_words(free)} are free: {ANOTHER_FOLDER}; "
            "smaller images take less"
        )
    if bytes_due > LARGE:
        _log.warning("%s, which are kept in %s", what, path.parent)


def _in_words(number: int) -> str:
    """A number of bytes in the largest unit that it fills."""
    unit, size = next((u for u in UNITS if number >= u[1]), UNITS[-1])
    return f"{number / size:,.1f} {unit}"


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _build(
    path: Path,
    tree: FileTree,
    files: Sequence[str],
    record: np.dtype,
    mode: str,
    skip_unreadable: bool,
) -> None:
    part, sums = _part(path), path.with_name(f".{path.name}.sums")
    try:
        with open(part, "a+b") as output, open(sums, "a+b") as block_sums:
            digest, done = _completed(output, block_sums, len(files), record)
            with Progress(f"Reading {tree.root}", len(files), "images") as progress:
                while done < len(files):
                    block = hashlib.sha256()
                    for file in files[done : done + SYNC_EVERY]:
                        image = _record(tree, file, record, mode, skip_unreadable).tobytes()
                        # Plain writes, not a memory map: on a full disk those raise, a map kills.
                        output.write(image)
                        digest.update(image)
                        block.update(image)
                        done += 1
                        progress.update(done)
                    _sync(output)
                    block_sums.write(block.digest())
                    _sync(block_sums)
        # First, as a file without it would have to be made again.
        write_json(_seal(path), {"digest": digest.hexdigest()})
        os.replace(part, path)
        sums.unlink()
    except Exception:
        # Whatever it is goes on, and what may be its cause goes away. With what KeyboardInterrupt,
        # which is no Exception, has left the next process goes on, as after a kill.
        part.unlink(missing_ok=True)
        sums.unlink(missing_ok=True)
        raise


def _completed(
    output: BinaryIO, block_sums: BinaryIO, count: int, record: np.dtype
) -> tuple["hashlib._Hash", int]:
    """Cut a part down to the blocks that have their checksum.

    Returns:
        the checksum of what is left, to go on with, and its number of images.
    """
    header = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(record)
    np.lib.format.write_array_header_1_0(
        header, {"descr": descr, "fortran_order": False, "shape": (count,)}
    )
    digest, done = hashlib.sha256(header.getvalue()), 0
    output.seek(0)
    if output.read(header.tell()) == header.getvalue():
        for block in _good_blocks(output, block_sums, count, record):
            digest.update(block)
            done += len(block) // record.itemsize
    else:
        output.truncate(0)
        output.write(header.getvalue())
    output.truncate(header.tell() + done * record.itemsize)
    block_sums.truncate(-(-done // SYNC_EVERY) * digest.digest_size)
    return digest, done


def _good_blocks(
    output: BinaryIO, block_sums: BinaryIO, count: int, record: np.dtype
) -> Iterator[bytes]:
    block_sums.seek(0)
    for first in range(0, count, SYNC_EVERY):
        block = output.read(min(SYNC_EVERY, count - first) * record.itemsize)
        if hashlib.sha256(block).digest() != block_sums.read(32):
            return
        yield block


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
