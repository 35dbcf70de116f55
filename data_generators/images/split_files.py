"""Split files: train.csv, val.csv and test.csv, which say the class of every image."""

import csv
import io
import posixpath
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from data_generators.errors import DataError, printable, reason
from data_generators.images.file_tree import FileTree
from data_generators.images.folders import ClassFiles, some
from data_generators.images.formats import is_image
from data_generators.images.split_names import split_named, split_suspected
from data_generators.random_streams import SPLITS

COLUMNS = ("filename", "label")
LISTS = (".csv", ".json", ".lst", ".tsv", ".txt")  # suffixes


class SplitFiles(NamedTuple):
    """The classes of train, val and test.

    Attributes:
        splits: split -> its classes.
        rows_left_out: row of a file -> why it is not used.
        images_left_out: image of the tree -> why it is not used.
    """

    splits: dict[str, ClassFiles]
    rows_left_out: dict[str, str]
    images_left_out: dict[str, str]


class _Row(NamedTuple):
    place: str  # such as "train.csv, line 7"
    label: str
    file: str  # its name in the tree


def find_split_files(tree: FileTree) -> dict[str, str]:
    """Split -> the CSV file named after it, at the root of the tree or one folder below.

    Raises:
        DataError: two files are named after one split.
    """
    found: dict[str, str] = {}
    for name in sorted(tree.files):
        stem, suffix = posixpath.splitext(posixpath.basename(name))
        if suffix.lower() != ".csv" or name.count("/") > 1:
            continue
        if (split := split_named(stem)) and found.setdefault(split, name) != name:
            raise DataError(
                f"--data_path={tree.root}: {found[split]} and {name} are both named after the "
                f"{split} split"
            )
    return found


def lists_unread(tree: FileTree) -> str | None:
    """Say which files may be meant as lists of the splits and are not read as such; None if none.

    They are named like two splits or more, such as train.txt and split_test.csv.
    """
    found: dict[str, str] = {}
    for name in sorted(tree.files):
        stem, suffix = posixpath.splitext(posixpath.basename(name))
        if suffix.lower() in LISTS and (split := split_suspected(stem)):
            found.setdefault(split, name)
    if len(found) < 2:
        return None
    return (
        f"{some(found.values())} may be meant as lists of the splits: they are train.csv, val.csv "
        "and test.csv, with the columns filename and label"
    )


def read_split_files(tree: FileTree, files: dict[str, str]) -> SplitFiles:
    """Read the images of every class and split, sorted.

    A file has the columns filename and label. The images lie below images/ beside it, all in one
    folder or in a folder for each class, or where the filename says.

    Args:
        tree: of the files.
        files: split -> CSV file, of all three splits.

    Raises:
        DataError: a file is no such CSV file, lists an image that is missing or no images at all,
            or an image has two labels.
    """
    splits: dict[str, ClassFiles] = {split: {} for split in SPLITS}
    rows_left_out: dict[str, str] = {}
    first: dict[str, _Row] = {}
    for split in SPLITS:
        rows = _read(tree, files[split])
        for row in sorted(rows, key=lambda row: (row.label, row.file)):
            other = first.setdefault(row.file, row)
            if other.label != row.label:
                raise DataError(
                    f"{tree.root}: {row.file} has the label {other.label!r} in {other.place} and "
                    f"{row.label!r} in {row.place}"
                )
            images = splits[split].setdefault(row.label, [])
            if row.file in images[-1:]:
                rows_left_out[row.place] = f"{other.place} lists {row.file}, too"
            else:
                images.append(row.file)
    unlisted = (name for name in tree.files if is_image(name) and name not in first)
    return SplitFiles(splits, rows_left_out, dict.fromkeys(unlisted, "no split file lists it"))


def _read(tree: FileTree, name: str) -> list[_Row]:
    path = tree.root / name
    data = tree.read(name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: it is not text in UTF-8") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = list(_rows(tree, name, ((reader.line_num, fields) for fields in reader)))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {reason(error)}") from error
    if not rows:
        raise DataError(f"{path} lists no images")
    return rows


def _rows(tree: FileTree, name: str, lines: Iterator[tuple[int, list[str]]]) -> Iterator[_Row]:
    path = tree.root / name
    _, first = next(lines, (0, []))
    header = [column.strip().lower() for column in first]
    if any(header.count(column) != 1 for column in COLUMNS):
        raise DataError(
            f"{path} is not a CSV file with the columns {','.join(COLUMNS)}: its first line has "
            f"{printable(','.join(header)) or 'nothing'!r}"
        )
    columns = [header.index(column) for column in COLUMNS]
    forms = {_one_form(file): file for file in tree.files}
    for line, fields in lines:
        if not fields:
            continue
        place = f"{posixpath.basename(name)}, line {line}"
        if len(fields) != len(header):
            raise DataError(
                f"{path}, line {line}: it has {len(fields)} of {len(header)} columns: "
                f"{printable(','.join(fields))[:80]!r}"
            )
        file, label = (fields[column].strip() for column in columns)
        if not file or not label:
            missing = COLUMNS[0] if not file else COLUMNS[1]
            raise DataError(f"{path}, line {line}: the {missing} is empty")
        found = _find(tree, forms, name, place, printable(file), label)
        yield _Row(place, printable(label), found)


def _one_form(name: str) -> str:
    """What all forms of a name in Unicode share: on a Mac an accent stands behind its letter."""
    return unicodedata.normalize("NFC", name)


def _find(
    tree: FileTree, forms: dict[str, str], name: str, place: str, file: str, label: str
) -> str:
    """The name in the tree of an image that a CSV file lists."""
    top = posixpath.dirname(name)
    candidates = [
        posixpath.normpath(posixpath.join(top, *parts, file))
        for parts in (("images",), ("images", printable(label)), ())
    ]
    for candidate in candidates:
        if candidate in tree.files:
            return candidate
    for candidate in candidates:
        if found := forms.get(_one_form(candidate)):
            return found
    why = some([tree.left_out[c] for c in candidates if c in tree.left_out])
    raise DataError(
        f"{tree.root / candidates[0]} is missing, which {place} lists{f' ({why})' if why else ''}"
    )
