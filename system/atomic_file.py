"""Files that appear complete or not at all, and what killed writers left of them."""

import contextlib
import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from system.lock import exclusive

# What a process that is killed can leave of the file or folder NAME beside it.
_REMAINS = re.compile(r"\.(?P<name>.+)\.(?:[0-9a-f]{32}\.(?:part|tmp)|lock)", re.DOTALL)

# What writing into a full disk, or beyond a quota or a limit, raises.
_FULL = {getattr(errno, name) for name in ("ENOSPC", "EFBIG", "EDQUOT") if hasattr(errno, name)}


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that takes its name when the block ends well.

    When the block raises, the temporary file is removed and `path` left as it was. The folder
    is made if need be. A process killed inside the block leaves a ".part" file that nothing reads
    and the next writer of `path` removes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with only_writer(path):
        temporary = path.with_name(temporary_name(path.name))
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.remove(temporary)
            if isinstance(error, OSError) and error.errno in _FULL and error.filename is None:
                error.filename = os.fspath(path)  # which a write does not say
            raise


def temporary_name(name: str) -> str:
    """What a file NAME is called while it is written."""
    return f".{name}.{uuid.uuid4().hex}.part"


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8, with the line ends that it has; see `atomic_write`."""
    with atomic_write(path) as file:
        file.write(text.encode())


@contextlib.contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Let no other process write the file or folder `path` during a block; wait while one does.

    What an earlier writer that was killed left of it is removed.
    """
    with exclusive(path.with_name(f".{path.name}.lock")):
        _remove_remains(path)
        yield


def remove_remains(folder: Path) -> None:
    """Remove what killed writers left in a folder; nothing of a writer that is at work."""
    found = (_REMAINS.fullmatch(entry.name) for entry in folder.glob(".*"))
    for name in {match["name"] for match in found if match}:
        with exclusive(folder / f".{name}.lock", wait=False) as held:
            if held:
                _remove_remains(folder / name)


def _remove_remains(path: Path) -> None:
    for entry in path.parent.glob(".*"):
        match = _REMAINS.fullmatch(entry.name)
        if not match or match["name"] != path.name or entry.suffix == ".lock":
            continue
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
