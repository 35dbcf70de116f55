"""JSON files of the experiments: written, and read as what they must be to come onto a page.

Any of them may be of another version, or somebody's own file that only has the name: what is not of
its form is said in one line that names the file, before anything is made of it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from system.errors import FileError
from system.json_file import read_object, write_json
from utils.errors import UsageError, one_line

Document = dict[str, Any]
Read = TypeVar("Read")
SIGNIFICANT_DIGITS = 5
# What reading a document of another form raises.
NOT_OF_THIS_FORM = (AttributeError, IndexError, KeyError, TypeError, ValueError, UsageError)
MADE_AGAIN = "remove it, and what it holds is made again, or move it away"
_KINDS = {dict: "an object", list: "a list", str: "a string", int: "a whole number"}


def write_document(path: Path, document: Document) -> None:
    """Write JSON with its checksum, whole or not at all."""
    write_json(path, document)


def read_document(path: Path, keys: Iterable[str] = ()) -> Document | None:
    """What `write_document` wrote; None if it is not there.

    Args:
        path: of the file.
        keys: that every version of such a document has: one without them is something else.

    Raises:
        FileError: it is damaged, no file, no object, or lacks one of the keys.
    """
    if not path.exists():
        return None
    try:
        document = read_object(path)
    except FileError as error:
        raise FileError(f"{error}; {MADE_AGAIN}") from error
    parsed(path, lambda: [document[key] for key in keys])
    return document


def parsed(path: Path, parse: Callable[[], Read]) -> Read:
    """What `parse` makes of a file's document.

    Raises:
        FileError: it raised one of `NOT_OF_THIS_FORM`.
    """
    try:
        return parse()
    except NOT_OF_THIS_FORM as error:
        found = f"it has no {error.args[0]!r}" if isinstance(error, KeyError) else one_line(error)
        raise FileError(f"{path} is not what it should be: {found}; {MADE_AGAIN}") from error


def entry(document: Mapping[str, Any], name: str, kind: type[Read]) -> Read:
    """The value of a name, which must be of this kind.

    Raises:
        KeyError: it is missing.
        TypeError: it is of another kind.
    """
    value = document[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{name!r} must be {_KINDS[kind]}")
    return value


def numbers(
    document: Mapping[str, Any], name: str, shape: Sequence[int | None] = (None,)
) -> np.ndarray:
    """The value of a name as an array, nan where it has None.

    Args:
        document: with the name.
        name: whose value is nested lists of numbers.
        shape: of the array; None for any size but 0.

    Raises:
        KeyError: it is missing.
        ValueError: it is something else.
    """
    sizes = ", ".join("any" if size is None else str(size) for size in shape)
    other = ValueError(f"{name!r} must be numbers [{sizes}]")
    try:
        values = np.array(document[name], np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise other from error
    fits = [
        found > 0 if size is None else found == size
        for found, size in zip(values.shape, shape, strict=False)
    ]
    if values.ndim != len(shape) or not all(fits):
        raise other
    return values


def rounded(values: Any) -> Any:
    """An array or number, as nested lists, to a few significant digits; None for nan and inf."""
    if np.ndim(values):
        return [rounded(value) for value in values]
    value = float(f"{float(values):.{SIGNIFICANT_DIGITS}g}")
    return value if np.isfinite(value) else None
