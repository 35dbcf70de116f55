"""One image file that is named itself, not by its folder."""

import os
import stat
import zlib
from pathlib import Path

from data_generators.errors import DataError, printable, reason
from data_generators.images.file_tree import LARGEST_FILE


class NamedFile:
    """A `FileTree` of one file, under the name that it is given by; its folder is not listed.

    What is no regular file is in `left_out`.

    Args:
        path: of it.
    """

    def __init__(self, path: Path):
        self.root = Path()
        self.files: dict[str, str] = {}
        self.left_out: dict[str, str] = {}
        self.hidden = 0
        self._path = path
        name = printable(path.as_posix())
        try:
            status = os.stat(path)
        except OSError as error:
            self.left_out[name] = reason(error)
            return
        if not stat.S_ISREG(status.st_mode):  # Reading a pipe or a device may never end.
            self.left_out[name] = "neither a file nor a folder"
        elif status.st_size > LARGEST_FILE:
            self.left_out[name] = f"it has {status.st_size} bytes, more than {LARGEST_FILE}"
        else:
            self.files[name] = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"

    def read(self, name: str) -> bytes:
        """Return the file's bytes; raises DataError naming it when it cannot."""
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise DataError(f"cannot read {name}: {reason(error)}") from error

    def checksum(self, name: str) -> int:
        """Return the CRC-32 of the file's bytes."""
        return zlib.crc32(self.read(name))
