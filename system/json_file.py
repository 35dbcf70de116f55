"""JSON files that say themselves whether they are as they were written."""

import hashlib
import itertools
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from system.atomic_file import write_text
from system.errors import FileError
from system.files import read_text

CHECKSUM = "sha256"
DEEPEST = 100  # objects and lists inside each other; what is written here has five
_KINDS = {dict: "an object", list: "a list"}


def write_json(path: Path, value: dict[str, Any] | list[dict[str, Any]], **layout: Any) -> None:
    """Write an object, or a list of objects, each with its checksum; whole or not at all.

    Args:
        path: of the file.
        value: JSON, without nan and inf.
        layout: `indent` and the like of `json.dumps`.
    """
    sealed = _sealed(value) if isinstance(value, dict) else [_sealed(entry) for entry in value]
    write_text(path, json.dumps(sealed, allow_nan=False, **layout) + "\n")


def read_object(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote of an object, or an object without a checksum.

    Files that were written before there were checksums have none.

    Raises:
        FileError: it cannot be read, is damaged, not JSON (which knows no nan, no inf and no name
            twice), or no object.
    """
    return _unsealed(_read(path), path)


def read_objects(path: Path) -> list[dict[str, Any]]:
    """Read what `write_json` wrote of a list of objects; see `read_object`."""
    value = _read(path)
    if not isinstance(value, list):
        raise FileError(f"{path} must hold a list of objects, got {_shown(value)}")
    entries = [_unsealed(entry, path) for entry in value]
    # Those of an earlier version, which have none, are the first.
    sealed = [CHECKSUM in entry for entry in value]
    if sealed != sorted(sealed):
        raise FileError(f"{path} is damaged: one of its objects has no {CHECKSUM!r}")
    return entries


def _sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    content = json.loads(json.dumps(value, allow_nan=False))  # as it will be read
    return {**content, CHECKSUM: _checksum(content)}


def _unsealed(value: Any, path: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FileError(f"{path} must hold an object, got {_shown(value)}")
    content = {name: entry for name, entry in value.items() if name != CHECKSUM}
    # Where the name of the checksum is damaged, its value may still be there.
    has_one = CHECKSUM in value or any(map(_is_checksum, value.values()))
    if has_one and value.get(CHECKSUM) != _checksum(content):
        raise FileError(
            f"{path} is damaged or was changed: its content does not have the checksum that "
            f"{CHECKSUM!r} says"
        )
    return content


def _is_checksum(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _checksum(value: Mapping[str, Any]) -> str:
    """Of the content, not of its layout."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _read(path: Path) -> Any:
    text = read_text(path).removeprefix("\ufeff")  # the mark that editors of Windows put first
    try:
        if _depth(text) > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} deep")
        return json.loads(
            text, object_pairs_hook=_object, parse_float=_number, parse_constant=_not_json
        )
    except ValueError as error:  # Also a number of thousands of digits.
        raise FileError(f"{path} is not JSON that this program wrote: {error}") from error


def _depth(text: str) -> int:
    """At most so deep are its objects and lists nested: brackets inside strings count, too."""
    steps = ((char in "[{") - (char in "]}") for char in re.findall(r"[\[\]{}]", text))
    return max(itertools.accumulate(steps), default=0)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {_shown(twice)} stands twice in one object")
    return value


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:30]} is too large")
    return value


def _not_json(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def _shown(value: Any) -> str:
    """A value, cut to a part of a line."""
    if isinstance(value, (dict, list)):
        return _KINDS[type(value)]
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
