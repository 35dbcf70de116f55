"""Locks on files that end with the process that holds them, on Linux, macOS and Windows."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

except ImportError:  # Windows
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]


POLL = 0.05  # seconds between two tries to have a lock that another process has
_held: dict[str, int] = {}


def hold(path: Path) -> bool:
    """Lock a file, made if need be, until this process ends, however it ends.

    A process that holds it may ask again. The file stays.

    Returns:
        False if another process has it.

    Raises:
        OSError: it cannot be made or locked.
    """
    name = os.path.realpath(path)
    if name in _held:
        if _is_open_as(_held[name], path):
            return True
        let_go(path)  # of a file that was moved away
    descriptor = _open(path)
    if not _try(descriptor):
        os.close(descriptor)
        return False
    # Not closed, nor opened again: closing any descriptor of the file ends fcntl's lock.
    _held[name] = descriptor
    return True


def let_go(path: Path) -> None:
    """Give up the lock of a file that this process holds."""
    os.close(_held.pop(os.path.realpath(path)))


@contextlib.contextmanager
def exclusive(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a file's lock for a block; the file is made if need be, and goes away again.

    Args:
        path: of the file.
        wait: while another process has it.

    Yields:
        whether it is held, which is always so after waiting.

    Raises:
        OSError: it cannot be made or locked.
    """
    while True:
        descriptor = _open(path)
        locked = _try(descriptor)
        if locked and _is_open_as(descriptor, path):
            break
        os.close(descriptor)
        if not locked and not wait:
            yield False
            return
        if not locked:
            time.sleep(POLL)
    try:
        yield True
    finally:
        # Elsewhere it is removed before the lock ends, so that nobody locks a file that is about
        # to go. Windows removes no open file: there, whoever has opened it meanwhile keeps it.
        if os.name == "nt":
            os.close(descriptor)
        with contextlib.suppress(OSError):
            os.remove(path)
        if os.name != "nt":
            os.close(descriptor)


def _open(path: Path) -> int:
    # As `open` makes files: what a user's umask lets others write, they can go on with.
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


def _try(descriptor: int) -> bool:
    try:
        _lock(descriptor)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _is_open_as(descriptor: int, path: Path) -> bool:
    """Whether the open file still has this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
