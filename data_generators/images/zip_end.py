"""Where a zip ends: the record that says where its list of files is, and how many there are.

Python's zipfile takes the last four bytes that look like that record's first ones, and ignores its
number of files. A comment, which stands behind the record, may have such bytes in it.
"""

import io
import os
import struct
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

_RECORD, _ENTRY, _LARGE = b"PK\5\6", b"PK\1\2", b"PK\6\7"
_BYTES = 22  # of the record
_LONGEST_COMMENT = 2**16 - 1


class ZipEnd(NamedTuple):
    """The record.

    Attributes:
        files: the number of files that it says, modulo 2^16; 2^16 - 1 may stand for more.
        place: where it ends, which is where a comment begins.
    """

    files: int
    place: int


def find_end(path: Path) -> ZipEnd:
    """Find the last such record before which there is a list of files, or that of an empty zip.

    Raises:
        zipfile.BadZipFile: there is none.
        OSError: the file cannot be read.
    """
    empty = None
    with open(path, "rb") as file:
        first = max(0, os.fstat(file.fileno()).st_size - _BYTES - _LONGEST_COMMENT)
        file.seek(first)
        tail = file.read()
        at = len(tail) - _BYTES + 1
        while (at := tail.rfind(_RECORD, 0, max(0, at + len(_RECORD) - 1))) >= 0:
            files, list_bytes = struct.unpack_from("<HI", tail, at + 10)
            found = ZipEnd(files, first + at + _BYTES)
            if files == list_bytes == 0:
                empty = empty or found
            elif tail[max(0, at - 20) : at].startswith(_LARGE):  # a record with longer numbers
                return found
            else:
                file.seek(max(0, first + at - list_bytes))
                if file.read(len(_ENTRY)) == _ENTRY:
                    return found
    if empty is None:
        raise zipfile.BadZipFile("it has no list of files at its end")
    return empty


class FileStart(io.FileIO):
    """A file without what follows its first bytes, to be read through a buffer.

    Args:
        path: of the file.
        size: the number of these bytes.
    """

    def __init__(self, path: Path, size: int):
        super().__init__(path)
        self._size = size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, which from the end is from the end of these bytes."""
        if whence == os.SEEK_END:
            return super().seek(self._size + offset)
        return super().seek(offset, whence)

    def readinto(self, buffer: Any) -> int | None:
        """Read as much as fits into a buffer."""
        return super().readinto(memoryview(buffer)[: max(0, self._size - self.tell())])

    def readall(self) -> bytes:
        """Read to the end of these bytes."""
        return super().read(max(0, self._size - self.tell())) or b""
