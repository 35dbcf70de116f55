"""Numbers and paths on the benchmarks' command lines, checked where they are read."""

import argparse
from collections.abc import Callable
from pathlib import Path

from utils.command.paths import expanded


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


def folder(text: str) -> Path:
    """The same, of a folder to write into."""
    return Path(path(text))
