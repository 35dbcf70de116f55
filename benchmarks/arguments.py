"""Numbers and paths on the benchmarks' command lines, checked where they are read."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from utils.command.paths import check_writable, expanded
from utils.errors import UsageError


def number(kind: type[int] | type[float], least: float, most: float) -> Callable[[str], float]:
    """A `type` for argparse: an int or float within bounds.

    Args:
        kind: int or float.
        least: the smallest that is allowed.
        most: the largest.
    """

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        # Not a number is not within bounds, either.
        if value is None or not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must be from {least} to {most}, got {text[:40]}")
        return value

    return read


def path(text: str) -> str:
    """A `type` for argparse: a path, in which ~ and ~user are expanded."""
    try:
        return expanded(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def data(text: str) -> str:
    """The same, of data that must be there."""
    found = path(text)
    if not os.path.exists(found):
        raise argparse.ArgumentTypeError(f"{found} does not exist")
    return found


def folder(text: str) -> Path:
    """The same, of a folder to write into, which need not be there."""
    found = path(text)
    try:
        check_writable(Path(os.path.realpath(found), "results"), found)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return Path(found)
