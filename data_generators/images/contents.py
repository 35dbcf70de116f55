"""The contents of image files as checksums, which say whether two data sets are the same."""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_generators.errors import ANOTHER_FOLDER, reason
from data_generators.images.file_tree import FileTree, fingerprint
from system.atomic_file import atomic_write

CHECKSUM = np.dtype("<u4")  # CRC-32
SEAL_BYTES = hashlib.sha256().digest_size

_log = logging.getLogger(__name__)


class Contents:
    """Checksums of files. Files are read once, if at all; afterwards the cache has them.

    Args:
        files: in the order of the rows that they become.
        cache_dir: folder for the checksums, which are found there as long as the files have the
            same names, sizes and times.
    """

    def __init__(self, files: Sequence[tuple[FileTree, str]], cache_dir: str | Path):
        self._files = files
        self._cache_dir = Path(cache_dir)

    def name(self, row: int) -> str:
        """The name of a row's file in its tree."""
        return self._files[row][1]

    def checksums(self, rows: np.ndarray) -> np.ndarray:
        """CRC-32 of the files of some rows, uint32 [rows].

        Raises:
            DataError: a file cannot be read; the line names it.
        """
        files = [self._files[row] for row in rows]
        cache = self._cache_dir / f"contents-{fingerprint(files)}"
        found = _read(cache, len(files))
        if found is None:
            found = np.array([tree.checksum(name) for tree, name in files], CHECKSUM)
            _write(cache, found)
        return found


def _read(cache: Path, count: int) -> np.ndarray | None:
    """What `_write` wrote; None if it is not there or damaged."""
    try:
        content = cache.read_bytes()
    except OSError:
        return None
    values, seal = content[:-SEAL_BYTES], content[-SEAL_BYTES:]
    if len(values) != count * CHECKSUM.itemsize or hashlib.sha256(values).digest() != seal:
        _log.warning("%s is damaged: reading the files again", cache)
        return None
    return np.frombuffer(values, CHECKSUM)


def _write(cache: Path, checksums: np.ndarray) -> None:
    values = checksums.tobytes()
    try:
        with atomic_write(cache) as file:
            file.write(values + hashlib.sha256(values).digest())
    except OSError as error:
        why = reason(error)
        _log.warning(
            "going on without a cache: cannot write %s: %s; %s", cache, why, ANOTHER_FOLDER
        )
