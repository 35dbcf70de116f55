"""The two layouts of a data set of photographs: split folders, or split files in CSV."""

import csv
import io

from PIL import Image

from data_generators.errors import DataError
from data_generators.images.file_tree import FileTree
from data_generators.random_streams import SPLITS

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
LAYOUT = (
    "a folder or zip with train/, val/ and test/, each with a folder of images per class, "
    "or with images/ and train.csv, val.csv, test.csv (filename,label)"
)


def is_image(name: str) -> bool:
    """Whether Pillow reads files of this name's suffix."""
    return name.lower().endswith(tuple(Image.registered_extensions()))


ClassFiles = dict[str, list[str]]
"""Name of a class -> paths of its images."""


def list_classes(tree: FileTree) -> dict[str, ClassFiles]:
    """Return the classes of every split, and the images of every class, in sorted order.

    The layout may stand at the root of the tree or one folder below.

    Raises:
        DataError: neither layout is there, a listed image is missing, or a class is in two splits.
    """
    parts = (name.split("/") for name in tree.files)
    tops = sorted({f"{top}/" for top, *below in parts if below[:1] in (["train"], ["train.csv"])})
    for top in ["", *tops]:
        if all(f"{top}{split}.csv" in tree.files for split in SPLITS):
            splits = {split: _read_csv(tree, top, split) for split in SPLITS}
            break
        splits = {split: _list_folder(tree, f"{top}{split}/") for split in SPLITS}
        if all(splits.values()):
            break
    else:
        raise DataError(f"--data_path={tree.root} is not {LAYOUT}")
    check_disjoint(tree, splits)
    return splits


def _list_folder(tree: FileTree, folder: str) -> ClassFiles:
    classes: ClassFiles = {}
    for name in sorted(tree.files):
        if name.startswith(folder) and name.lower().endswith(IMAGE_SUFFIXES):
            label, _, file = name.removeprefix(folder).partition("/")
            if file:
                classes.setdefault(label, []).append(name)
    return classes


def _read_csv(tree: FileTree, top: str, split: str) -> ClassFiles:
    name = f"{top}{split}.csv"
    try:
        rows = list(csv.DictReader(io.StringIO(tree.read(name).decode("utf-8-sig"))))
        pairs = sorted((row["label"], f"{top}images/{row['filename']}") for row in rows)
    except (UnicodeDecodeError, csv.Error, KeyError, TypeError) as error:
        raise DataError(
            f"{tree.root / name} is not a CSV file with the columns filename,label"
        ) from error
    if not pairs:
        raise DataError(f"{tree.root / name} lists no images")
    classes: ClassFiles = {}
    for label, file in pairs:
        if file not in tree.files:
            raise DataError(f"{tree.root / file} is missing, which {split}.csv lists")
        classes.setdefault(label, []).append(file)
    return classes


def check_disjoint(tree: FileTree, splits: dict[str, ClassFiles]) -> None:
    """Raise DataError if a class is in two splits."""
    seen: dict[str, str] = {}
    for split, classes in splits.items():
        for label in classes:
            if label in seen:
                raise DataError(
                    f"{tree.root}: class {label} is both in {seen[label]} and in {split}; "
                    "the splits must not share classes"
                )
            seen[label] = split
