"""The registry of what is fuzzed, and the verdict on one case."""

import contextlib
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from data_generators import DataError
from data_generators.errors import printable
from maml_tnet import ExportError
from system.errors import FileError
from utils.errors import UsageError

from . import data_files, own_files

Case = Callable[[Random, Path], None]
"""Writes one damaged file into the empty folder and has the program's reader read it.

It returns where the reader takes the file, after asserting, where there is a checksum, that the
answer is the undamaged file's; it lets the reader's refusal pass."""

CASES: dict[str, Case] = {**data_files.CASES, **own_files.CASES}
SECONDS = 20  # of one case; more is a hang


class Hang(BaseException):
    """A case that does not end; no reader may catch it."""


def outcome(name: str, number: int, seed: int = 0) -> str:
    """Run one case; the same arguments make the same damage.

    Returns:
        "read" or "refused".

    Raises:
        AssertionError: the reader gave another answer, or its refusal is not one line.
        Hang: it did not end.
        Exception: whatever else the reader raised; every one is a fault.
    """
    with tempfile.TemporaryDirectory() as folder, _time_limit(), warnings.catch_warnings():
        warnings.simplefilter("error")  # A raw warning is no line for a user.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            CASES[name](Random(f"{name}/{seed}/{number}"), Path(folder))
        except (DataError, ExportError, FileError, UsageError) as error:
            line = str(error)
            assert line == printable(line), f"not one line of text: {line!r}"
            assert folder in line, f"the file is not named: {line!r}"
            return "refused"
    return "read"


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Hang(f"no end after {SECONDS} seconds")

    earlier = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, earlier)
