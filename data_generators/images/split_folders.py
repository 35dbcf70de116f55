"""Folders that say themselves which classes are for train, val and test."""

import posixpath
from typing import NamedTuple

from data_generators.errors import DataError
from data_generators.images.file_tree import FileTree
from data_generators.images.folders import ClassFiles, some
from data_generators.images.split_names import split_named, split_suspected
from data_generators.random_streams import SPLITS


class SplitFolders(NamedTuple):
    """The classes of train, val and test.

    Attributes:
        splits: split -> its classes, each named by its path below the split's folder.
        left_out: folder with images -> why they are in no split.
    """

    splits: dict[str, ClassFiles]
    left_out: dict[str, str]


def split_folders(tree: FileTree, folders: ClassFiles) -> SplitFolders | None:
    """Find the folders of the three splits, see `split_named`, that hold class folders.

    A folder that is named like a split and holds everything, or all three splits, is none itself.

    Args:
        tree: for the error.
        folders: all folders with images in them, as `image_folders` lists them.

    Returns:
        None if no folder is named like a split.

    Raises:
        DataError: some folders are named like splits, but do not make three of them.
    """
    above, split_of = "", _split_of(folders, "")
    while len(split_of) == 1:
        (outer,) = split_of
        inside = _split_of(folders, outer)
        holds_all = all(folder.startswith(f"{outer}/") for folder in folders)
        if not holds_all and set(inside.values()) != set(SPLITS):
            break
        above, split_of = outer, inside
    if not split_of:
        _check_no_class_is_a_split(tree, folders)
        _check_none_is_suspected(tree, folders)
        return None
    _check_three(tree, folders, split_of)
    places = {split: place for place, split in split_of.items()}
    splits: dict[str, ClassFiles] = {split: {} for split in SPLITS}
    left_out = {}
    for folder, images in folders.items():
        place = _split_folder(folder, above)
        if place:
            splits[split_of[place]][folder.removeprefix(f"{place}/")] = images
        elif folder in places.values():
            left_out[folder] = f"{len(images)} images that are in no class folder"
        else:
            names = ", ".join(f"{place}/" for place in places.values())
            left_out[folder] = f"{len(images)} images that are not in {names}"
    return SplitFolders(splits, left_out)


def _split_folder(class_folder: str, above: str) -> str | None:
    """The path of the first folder above a class folder, below another, that is named like a split.

    Args:
        class_folder: its path.
        above: the path of the other; empty for the root.
    """
    parts = class_folder.split("/")
    first = len(above.split("/")) if above else 0
    if above and parts[:first] != above.split("/"):
        return None
    for depth, part in enumerate(parts[first:-1], start=first + 1):
        if split_named(part):
            return "/".join(parts[:depth])
    return None


def _split_of(folders: ClassFiles, above: str) -> dict[str, str]:
    """Path of a folder that is named like a split and holds class folders -> the split."""
    places = {place for folder in folders if (place := _split_folder(folder, above))}
    return {
        place: split
        for split in SPLITS
        for place in sorted(places)
        if split_named(posixpath.basename(place)) == split
    }


def _check_no_class_is_a_split(tree: FileTree, folders: ClassFiles) -> None:
    """One class may be called "train"; but side by side with a "test", neither is a class."""
    first: dict[str, str] = {}
    for folder in folders:
        if split := split_named(posixpath.basename(folder)):
            other = first.setdefault(posixpath.dirname(folder), folder)
            if split_named(posixpath.basename(other)) != split:
                raise DataError(
                    f"--data_path={tree.root}: {other}/ and {folder}/ are named like splits, but "
                    "hold images themselves; a split's folder must hold class folders, and a class "
                    "must be in one split alone"
                )


def _check_none_is_suspected(tree: FileTree, folders: ClassFiles) -> None:
    """Raise DataError if folders of class folders, side by side, may be meant as two splits."""
    first: dict[str, str] = {}
    for folder in folders:
        parts = folder.split("/")
        for depth, part in enumerate(parts[:-1]):
            if split := split_suspected(part):
                path = "/".join(parts[: depth + 1])
                other = first.setdefault("/".join(parts[:depth]), path)
                if split_suspected(posixpath.basename(other)) != split:
                    raise DataError(
                        f"--data_path={tree.root}: {other}/ and {path}/ may be meant as splits; "
                        "call the folders of the splits train/, val/ and test/, and others "
                        "otherwise"
                    )


def _check_three(tree: FileTree, folders: ClassFiles, split_of: dict[str, str]) -> None:
    """Raise DataError unless there is one folder of each split, side by side."""
    places = list(split_of)
    parents = {posixpath.dirname(place) for place in places}
    twice = [p for i, p in enumerate(places) if split_of[p] in [split_of[q] for q in places[:i]]]
    shown = some([f"{place}/" for place in places])
    if len(parents) > 1:
        raise DataError(
            f"--data_path={tree.root}: {shown} are named like splits, but do not lie side by side; "
            "let --data_path name the folder of one data set"
        )
    if twice:
        raise DataError(
            f"--data_path={tree.root} has {shown}: {twice[0]}/ is a second {split_of[twice[0]]} "
            "split; give one folder for each of train, val and test"
        )
    missing = [split for split in SPLITS if split not in split_of.values()]
    if missing:
        (parent,) = parents
        beside = {
            folder.removeprefix(f"{parent}/").split("/")[0]
            for folder in folders
            if not any(folder.startswith(f"{place}/") for place in places)
        }
        others = f" (beside {some([f'{name}/' for name in sorted(beside)])})" if beside else ""
        raise DataError(
            f"--data_path={tree.root} has class folders in {' and '.join(f'{p}/' for p in places)}"
            f"{others}, but none in a folder for {' and '.join(missing)}: give train/, val/ and "
            "test/, or no such folders, and the classes are split by --split_seed"
        )
