"""CSV files of numbers, which grow by a row at a time."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from system.errors import FileError
from system.files import read_text

# NA is what Keras writes where an epoch has no value.
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|nan|inf)|NA", re.ASCII)


class Table(NamedTuple):
    """What a file holds.

    Attributes:
        header: the names of the columns.
        rows: the fields as they are written; each is a number or NA.
    """

    header: list[str]
    rows: list[list[str]]


def read_columns(path: Path, names: Sequence[str]) -> list[list[float]]:
    """Read the numbers of some columns.

    Raises:
        FileError: see `read_table`; or there is no such column.
    """
    header, rows = read_table(path)
    for name in names:
        if name not in header:
            raise FileError(f"{path} is damaged: it has no column {name}")
    return [[number(row[header.index(name)]) for row in rows] for name in names]


def number(field: str) -> float:
    """The number that a field of a table is; nan for NA."""
    return float("nan" if field == "NA" else field)


def read_table(path: Path) -> Table:
    """Read a file; the half line that a writer who was killed left at its end is left out.

    Raises:
        FileError: it cannot be read, or is damaged: the line that is no row of numbers is named.
    """
    lines = read_text(path).split("\n")[:-1]
    header, *rows = [line.removesuffix("\r").split(",") for line in lines] or [[]]
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header) or not all(map(_NUMBER.fullmatch, row)):
            raise FileError(
                f"{path} is damaged: line {line} is not a row of {len(header)} numbers; remove "
                "the line or the file"
            )
    return Table(header, rows)
