"""CSV files of numbers, which grow by a row at a time."""

import re
from pathlib import Path
from typing import NamedTuple

from system.errors import FileError
from system.files import read_text

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|nan|inf)", re.ASCII)


class Table(NamedTuple):
    """What a file holds.

    Attributes:
        header: the names of the columns.
        rows: the fields as they are written; each is a number.
    """

    header: list[str]
    rows: list[list[str]]


def read_table(path: Path) -> Table:
    """Read a file; the half line that a writer who was killed left at its end is left out.

    Raises:
        FileError: it cannot be read, or is damaged: the line that is no row of numbers is named.
    """
    lines = read_text(path).split("\n")[:-1]
    header, *rows = [line.removesuffix("\r").split(",") for line in lines] or [[]]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header) or not all(map(_NUMBER.fullmatch, row)):
            raise FileError(
                f"{path} is damaged: line {number} is not a row of {len(header)} numbers; remove "
                "the line or the file"
            )
    return Table(header, rows)
