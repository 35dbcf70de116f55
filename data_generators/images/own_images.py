"""Any folder of class folders: N-way K-shot classification of a user's own images."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from data_generators.errors import DataError
from data_generators.images.cache import open_image_cache, read_rows
from data_generators.images.contents import Contents
from data_generators.images.episodes import ClassRows, ImageEpisodes
from data_generators.images.file_tree import FileTree, fingerprint, open_tree
from data_generators.images.folders import ClassFiles, check_disjoint, is_image
from data_generators.random_streams import SPLITS

LAYOUT = (
    "a folder or zip of class folders with images, or with train/, val/ and test/, each of class "
    "folders"
)
HELD_OUT = {"val": 0.16, "test": 0.2}  # of the classes, as in miniImagenet
NAMED = 10  # so many unreadable files are listed by name

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
        readable images.

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
        tree = open_tree(Path(data_path))
        splits = split_classes(tree, way, split_seed)
        files = [file for split in SPLITS for names in splits[split].values() for file in names]
        key = fingerprint((tree, file) for file in files)
        mode = "L" if grey else "RGB"
        name = f"images-{image_size}-{mode}-{key}.npy"
        cache = open_image_cache(
            Path(cache_dir, name), tree, files, image_size, mode, skip_unreadable=True
        )
        readable = read_rows(cache["readable"], np.arange(len(files))) == 1
        _report_unreadable(tree, [f for f, ok in zip(files, readable, strict=True) if not ok])
        contents = Contents([(tree, file) for file in files], cache_dir)
        row = {file: number for number, file in enumerate(files) if readable[number]}
        rows = {split: _large_enough(split, part, row, per_class) for split, part in splits.items()}
        for split, classes in rows.items():
            if len(classes) < way:
                raise DataError(
                    f"--data_path={data_path}: the {split} split has {len(classes)} classes of at "
                    f"least {per_class} readable images, --num_classes={way} needs {way}"
                )
        return cls("images", rows, cache["pixels"], way, num_train_classes, contents)


def split_classes(tree: FileTree, way: int, seed: int) -> dict[str, ClassFiles]:
    """Return the classes of train, val and test, and the images of every class, sorted.

    A tree with the folders train, val and test (at its root or one folder below) is taken as it
    is. Otherwise every folder that holds images is a class, and 16 % of the classes are for val and
    20 % for test, but at least `way` each.

    Raises:
        DataError: there are too few classes for three splits, two of the three folders, or the
            same class in several of them.
    """
    classes = _class_folders(tree)
    for top in ["", *sorted({f"{name.split('/')[0]}/" for name in classes})]:
        splits = {
            split: {
                name.removeprefix(f"{top}{split}/"): images
                for name, images in classes.items()
                if name.startswith(f"{top}{split}/")
            }
            for split in SPLITS
        }
        present = [split for split in SPLITS if splits[split]]
        if len(present) == len(SPLITS):
            check_disjoint(tree, splits)
            return splits
        if len(present) > 1:
            missing = next(split for split in SPLITS if split not in present)
            raise DataError(
                f"--data_path={tree.root} has class folders in {top}{present[0]}/ and "
                f"{top}{present[1]}/, but none in {top}{missing}/: give all three, or no such "
                "folders, and the classes are split by --split_seed"
            )
    names = np.array(sorted(classes))
    if len(names) < 3 * way:
        raise DataError(
            f"--data_path={tree.root} has {len(names)} folders of images, but train, val and test "
            f"need --num_classes={way} classes each: {3 * way} together"
        )
    # RandomState's stream is frozen: every version of NumPy shuffles alike.
    names = names[np.random.RandomState(seed).permutation(len(names))]
    val, test = (max(way, round(HELD_OUT[split] * len(names))) for split in ("val", "test"))
    train = len(names) - val - test
    if train < way:
        val = test = way
        train = len(names) - 2 * way
    parts = np.split(names, [train, train + val])
    return {
        split: {str(name): classes[name] for name in sorted(part)}
        for split, part in zip(SPLITS, parts, strict=True)
    }


def _class_folders(tree: FileTree) -> ClassFiles:
    folders: ClassFiles = {}
    for name in sorted(tree.files):
        folder, _, file = name.rpartition("/")
        if folder and is_image(file):
            folders.setdefault(folder, []).append(name)
    if not folders:
        raise DataError(f"--data_path={tree.root} is not {LAYOUT}")
    return folders


def _large_enough(
    split: str, classes: ClassFiles, row: Mapping[str, int], per_class: int
) -> ClassRows:
    rows = {
        label: np.array([row[file] for file in files if file in row])
        for label, files in classes.items()
    }
    for label, images in rows.items():
        if len(images) < per_class:
            _log.warning(
                "left out: class %s of the %s split has %d images, an episode needs %d",
                label,
                split,
                len(images),
                per_class,
            )
    return {label: images for label, images in rows.items() if len(images) >= per_class}


def _report_unreadable(tree: FileTree, files: Iterable[str]) -> None:
    names = list(files)
    for name in names[:NAMED]:
        _log.warning("left out: cannot read the image %s", tree.root / name)
    if len(names) > NAMED:
        _log.warning("left out: %d more unreadable images", len(names) - NAMED)
    if names:
        _log.warning("%d of the images are unreadable", len(names))
