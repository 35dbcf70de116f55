"""miniImagenet: N-way K-shot classification of photographs (section 6.4)."""

from pathlib import Path

import numpy as np

from data_generators.errors import DataError
from data_generators.images.cache import open_image_cache
from data_generators.images.contents import Contents
from data_generators.images.episodes import ImageEpisodes
from data_generators.images.file_tree import fingerprint, open_tree
from data_generators.images.folders import LAYOUT, list_classes
from data_generators.random_streams import SPLITS

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
        cache = open_image_cache(Path(cache_dir, f"miniimagenet-{key}.npy"), tree, files, SIDE)
        contents = Contents([(tree, file) for file in files], cache_dir)
        row = {file: number for number, file in enumerate(files)}
        rows = {
            split: {label: np.array([row[file] for file in names]) for label, names in part.items()}
            for split, part in splits.items()
        }
        return cls("miniimagenet", rows, cache["pixels"], way, num_train_classes, contents)
