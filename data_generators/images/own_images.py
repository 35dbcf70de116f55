"""Any folder of class folders: N-way K-shot classification of a user's own images."""

import logging
import posixpath
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from data_generators.episode import is_whole
from data_generators.errors import DataError
from data_generators.images.contents import Contents
from data_generators.images.decoding import READER_VERSION
from data_generators.images.episodes import ImageEpisodes
from data_generators.images.file_tree import FileTree, fingerprint, open_tree
from data_generators.images.folders import (
    ClassFiles,
    alike,
    check_disjoint,
    image_folders,
    loose_images,
    other_files,
    some,
    what_there_is,
    without_images,
)
from data_generators.images.left_out import LeftOut
from data_generators.images.readable_images import open_readable
from data_generators.images.split_files import find_split_files, lists_unread, read_split_files
from data_generators.images.split_folders import split_folders
from data_generators.random_streams import SPLITS

LAYOUT = (
    "a folder or zip of class folders with images, or with train/, val/ and test/, each of class "
    "folders"
)
HELD_OUT = {"val": 0.16, "test": 0.2}  # of the classes, as in miniImagenet
_log = logging.getLogger(__name__)


class Images(ImageEpisodes):
    """Draws episodes of a user's images, of any format that Pillow reads, resized to a square."""

    @classmethod
    def load(
        cls,
        data_path: str | None,
        cache_dir: str,
        way: int,
        num_train_classes: int = -1,
        *,
        image_size: int,
        grey: bool,
        split_seed: int,
        per_class: int,
    ) -> "Images":
        """Read the images under `data_path`, once; later from a memory-mapped file.

        Unreadable files are named and left out, and so are classes of less than `per_class`
        readable images, before the others are split.

        Args:
            data_path: folder or zip, see `LAYOUT`.
            cache_dir: folder for the file of resized images.
            way: classes an episode.
            num_train_classes: train on the first so many classes only; -1 for all.
            image_size: height and width to resize to, pixels.
            grey: one channel instead of three.
            split_seed: decides which classes are for train, val and test where the folder does not.
            per_class: images that an episode needs of a class.

        Raises:
            DataError: there are no class folders, or too few, or a number is out of range.
        """
        if data_path is None:
            raise DataError(f"--data_path must name {LAYOUT}")
        for name, value, least, most in (
            ("--num_classes", way, 1, 2**31 - 1),
            ("--image_size", image_size, 1, 65_535),
            ("--split_seed", split_seed, 0, 2**32 - 1),
            ("per_class", per_class, 1, 2**31 - 1),
        ):
            if not is_whole(value) or not least <= value <= most:
                raise DataError(
                    f"{name} must be a whole number between {least} and {most}, got {value!r}"
                )
        if not isinstance(grey, bool):
            raise DataError(f"--grey must be True or False, got {grey!r}")
        tree = open_tree(Path(data_path))
        left_out = LeftOut()
        parts = _list_classes(tree, left_out)
        files = [file for classes in parts.values() for names in classes.values() for file in names]
        mode = "L" if grey else "RGB"
        key = fingerprint((tree, file) for file in files)
        name = f"images-{image_size}-{mode}-v{READER_VERSION}-{key}.npy"
        images = open_readable(Path(cache_dir, name), tree, files, image_size, mode)
        for line in images.unreadable.values():
            left_out.add("image", line)
        row = {file: number for number, file in enumerate(files) if file not in images.unreadable}
        rows = {
            label: np.array([row[file] for file in names if file in row], np.int64)
            for classes in parts.values()
            for label, names in classes.items()
        }
        usable = {label for label, numbers in rows.items() if len(numbers) >= per_class}
        for label in sorted(rows.keys() - usable):
            has = f"it has {len(rows[label])} readable images, an episode needs {per_class}"
            left_out.add("class", f"class {label}: {has}")
        left_out.say_total()
        if set(parts) == set(SPLITS):
            splits = _usable_of(tree, parts, usable, way, per_class)
        else:
            splits = split_classes(tree, rows, usable, way, split_seed)
        source = cls(
            "images",
            {split: {label: rows[label] for label in splits[split]} for split in SPLITS},
            images.pixels,
            way,
            num_train_classes,
            Contents([(tree, file) for file in files], cache_dir),
        )
        source.warn_of_repeated_images()
        return source


def split_classes(
    tree: FileTree, labels: Iterable[str], usable: Collection[str], way: int, seed: int
) -> dict[str, list[str]]:
    """Split classes by a seed: 16 % for val and 20 % for test, but at least `way` each.

    Args:
        tree: for the error.
        labels: the names of all classes.
        usable: of those that have images enough.
        way: classes an episode.
        seed: of the split.

    Returns:
        split -> its classes, sorted.

    Raises:
        DataError: there are too few for three splits.
    """
    if len(usable) < 3 * way:
        raise DataError(
            f"--data_path={tree.root} has {len(usable)} classes with images enough for an episode, "
            f"but train, val and test need --num_classes={way} classes each: {3 * way} together"
        )
    # RandomState's stream is frozen: every version of NumPy shuffles alike. All classes are
    # shuffled, so that those left out change little for the others.
    names = np.array(sorted(labels))
    names = names[np.random.RandomState(seed).permutation(len(names))]
    kept = [str(name) for name in names if name in usable]
    val, test = (max(way, round(HELD_OUT[split] * len(kept))) for split in ("val", "test"))
    train = len(kept) - val - test
    if train < way:
        val = test = way
        train = len(kept) - 2 * way
    return {
        "train": sorted(kept[:train]),
        "val": sorted(kept[train : train + val]),
        "test": sorted(kept[train + val :]),
    }


def _list_classes(tree: FileTree, left_out: LeftOut) -> dict[str, ClassFiles]:
    """The classes of every split, or of the one part "all" where the data says no splits."""
    left_out.add_all("path", tree.left_out)
    known: Collection[str] = ()
    folders = image_folders(tree)
    split_csv = find_split_files(tree)
    if found := split_folders(tree, folders):
        parts = found.splits
        left_out.add_all("folder", found.left_out | without_images(tree, folders))
        left_out.add_all("image", loose_images(tree))
    elif set(split_csv) == set(SPLITS):
        listed = read_split_files(tree, split_csv)
        parts = listed.splits
        left_out.add_all("row", listed.rows_left_out)
        left_out.add_all("image", listed.images_left_out)
        known = split_csv.values()
    elif folders:
        parts = {"all": dict(sorted(folders.items()))}
        if len(above := sorted({posixpath.dirname(label) for label in folders} - {""})) > 1:
            _log.warning(
                "the classes of %s are taken together, and split by --split_seed; folders of "
                "splits are called train/, val/ and test/",
                some([f"{folder}/" for folder in above]),
            )
        left_out.add_all("folder", without_images(tree, folders))
        left_out.add_all("image", loose_images(tree))
        if split_csv:
            _log.warning(
                "not read: %s; train, val and test need a file each", some(split_csv.values())
            )
        elif unread := lists_unread(tree):
            _log.warning("not read: %s", unread)
    else:
        raise DataError(f"--data_path={tree.root} is not {LAYOUT}; {what_there_is(tree)}")
    check_disjoint(tree, parts)
    if pairs := alike(label for classes in parts.values() for label in classes):
        _log.warning("taken as different classes: %s", pairs)
    if others := other_files(tree, known):
        _log.warning("passed over, as their names are not those of images: %s", others)
    return parts


def _usable_of(
    tree: FileTree, parts: dict[str, ClassFiles], usable: Collection[str], way: int, per_class: int
) -> dict[str, list[str]]:
    splits = {split: [label for label in parts[split] if label in usable] for split in SPLITS}
    for split, labels in splits.items():
        if len(labels) < way:
            raise DataError(
                f"--data_path={tree.root}: the {split} split has {len(labels)} classes of at least "
                f"{per_class} readable images, --num_classes={way} needs {way}"
            )
    return splits
