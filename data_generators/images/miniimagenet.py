"""miniImagenet: N-way K-shot classification of photographs (section 6.4)."""

from pathlib import Path

import numpy as np

from data_generators.errors import DataError
from data_generators.images.cache import open_image_cache
from data_generators.images.contents import Contents
from data_generators.images.decoding import READER_VERSION
from data_generators.images.episodes import ImageEpisodes
from data_generators.images.file_tree import FileTree, fingerprint, open_tree
from data_generators.images.folders import (
    ClassFiles,
    check_disjoint,
    image_folders,
    loose_images,
    what_there_is,
)
from data_generators.images.left_out import LeftOut
from data_generators.images.split_files import find_split_files, read_split_files
from data_generators.images.split_folders import split_folders
from data_generators.random_streams import SPLITS

LAYOUT = (
    "a folder or zip with train/, val/ and test/, each with a folder of images per class, "
    "or with images/ and train.csv, val.csv, test.csv (filename,label)"
)
SIDE = 84  # pixels


class MiniImagenet(ImageEpisodes):
    """Draws episodes of the data set's photographs, 84 x 84 in colour."""

    @classmethod
    def load(
        cls, data_path: str | None, cache_dir: str, way: int, num_train_classes: int = -1
    ) -> "MiniImagenet":
        """Read the images under `data_path`, once; later from a memory-mapped file.

        Args:
            data_path: folder or zip, see `list_classes`.
            cache_dir: folder for the file of resized images.
            way: classes an episode.
            num_train_classes: train on the first so many classes only; -1 for all.

        Raises:
            DataError: data is missing, damaged or of another layout, or a number out of range.
        """
        if data_path is None:
            raise DataError(f"miniImagenet cannot be downloaded: --data_path must name {LAYOUT}")
        tree = open_tree(Path(data_path))
        splits = list_classes(tree)
        files = [file for split in SPLITS for names in splits[split].values() for file in names]
        key = fingerprint((tree, file) for file in files)
        path = Path(cache_dir, f"miniimagenet-v{READER_VERSION}-{key}.npy")
        cache = open_image_cache(path, tree, files, SIDE)
        contents = Contents([(tree, file) for file in files], cache_dir)
        row = {file: number for number, file in enumerate(files)}
        rows = {
            split: {label: np.array([row[file] for file in names]) for label, names in part.items()}
            for split, part in splits.items()
        }
        source = cls("miniimagenet", rows, cache["pixels"], way, num_train_classes, contents)
        source.warn_of_repeated_images()
        return source


def list_classes(tree: FileTree) -> dict[str, ClassFiles]:
    """Return the classes of every split, and the images of every class, in sorted order.

    Split files or split folders, see `read_split_files` and `split_folders`; what lies below a
    class folder belongs to its class.

    Raises:
        DataError: neither is there, or a class is in two splits.
    """
    left_out = LeftOut()
    left_out.add_all("path", tree.left_out)
    split_csv = find_split_files(tree)
    if set(split_csv) == set(SPLITS):
        listed = read_split_files(tree, split_csv)
        splits = listed.splits
        left_out.add_all("row", listed.rows_left_out)
        left_out.add_all("image", listed.images_left_out)
    elif found := split_folders(tree, image_folders(tree)):
        splits = {split: _by_first_folder(classes) for split, classes in found.splits.items()}
        left_out.add_all("folder", found.left_out)
        left_out.add_all("image", loose_images(tree))
    else:
        raise DataError(f"--data_path={tree.root} is not {LAYOUT}; {what_there_is(tree)}")
    check_disjoint(tree, splits)
    left_out.say_total()
    return splits


def _by_first_folder(classes: ClassFiles) -> ClassFiles:
    merged: ClassFiles = {}
    for path, images in classes.items():
        merged.setdefault(path.split("/")[0], []).extend(images)
    return {label: sorted(images) for label, images in merged.items()}
