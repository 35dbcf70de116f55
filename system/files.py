"""Reading a small file whole: a file that is no file, or too large, is said in one line."""

import stat
from pathlib import Path

from system.errors import FileError

LARGEST = 1 << 28  # bytes; what is read whole is far smaller


def read_bytes(path: Path) -> bytes:
    """Read a file.

    Raises:
        FileError: it is not there, cannot be read, is no regular file (a pipe would block for
            ever) or has more than `LARGEST` bytes.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise FileError(f"{path} is not a file")
        if status.st_size > LARGEST:
            raise FileError(
                f"{path} has {status.st_size} bytes: it was not written by this program"
            )
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}") from error


def read_text(path: Path) -> str:
    """Read a file as UTF-8, with the line ends that it has.

    Raises:
        FileError: see `read_bytes`; or it is not UTF-8.
    """
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is damaged: byte {error.start} is not UTF-8") from error
