"""Checksums beside files, in the form that `sha256sum --check` (`shasum -a 256 --check`) reads."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

CHECKSUMS = "SHA256SUMS"  # the file of a SavedModel
_LINE = re.compile(r"(?P<sum>[0-9a-f]{64})  (?P<name>[^\n]+)")
LARGEST = 1 << 20  # bytes of a file of checksums


class ChecksumError(Exception):
    """A file is missing or not as it was written; its text is one line that names it."""


class UnreadableError(ChecksumError):
    """A file is there and may be as it was written, but the system does not let it be read."""


def checksums(folder: Path, names: Iterable[str]) -> str:
    """A line for each of a folder's files.

    Args:
        folder: of the files.
        names: relative to it, with "/" between their parts.
    """
    return "".join(f"{_sum(folder / name)}  {name}\n" for name in sorted(names))


def verify(file: Path) -> set[str]:
    """Compare the files that `file`, written of `checksums`, lists with their checksums.

    Returns:
        the names of the files.

    Raises:
        ChecksumError: one is missing or damaged, or `file` itself is.
        UnreadableError: one cannot be read.
    """
    try:
        _check_is_file(file)
        with file.open("rb") as opened:
            *lines, rest = opened.read(LARGEST).decode().split("\n")
    except PermissionError as error:
        raise UnreadableError(f"cannot read {file}: {error.strerror}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ChecksumError(f"cannot read {file}: {error}") from error
    listed = [_LINE.fullmatch(line) for line in lines]
    if rest or not listed or None in listed or not all(map(str.isprintable, lines)):
        raise ChecksumError(f"{file} is damaged: it does not list checksums")
    names = {match["name"]: match["sum"] for match in listed if match}
    for name, expected in names.items():
        path = file.parent / name
        try:
            found = _sum(path)
        except PermissionError as error:
            raise UnreadableError(f"cannot read {path}: {error.strerror}") from error
        except OSError as error:
            raise ChecksumError(f"cannot read {path}, which {file} lists: {error}") from error
        if found != expected:
            raise ChecksumError(f"{path} is damaged: it has not the checksum that {file} says")
    return set(names)


def _sum(path: Path) -> str:
    _check_is_file(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_is_file(path: Path) -> None:
    if not path.is_file():  # a pipe would block for ever
        raise FileNotFoundError("it is no file")
