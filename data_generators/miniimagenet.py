"""miniImagenet: N-way K-shot classification of photographs (section 6.4)."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from data_generators.class_sampling import check_classes, first_train_classes, sample_classes
from data_generators.episode import Episode, split_episode
from data_generators.errors import DataError
from data_generators.file_tree import fingerprint, open_tree
from data_generators.image_cache import open_image_cache
from data_generators.image_folders import LAYOUT, ClassFiles, list_classes
from data_generators.random_streams import SPLITS, stream_id

SIDE = 84  # pixels


class MiniImagenet:
    """Draws episodes of photographs; classes may have different numbers of them.

    Args:
        splits: the classes of every split and the images of every class, see `list_classes`.
        images: uint8 [images, 84, 84, 3], the images of train, val and test one after another,
            those of a class in a row; may be memory-mapped.
        way: classes an episode.
        num_train_classes: train on the first so many classes of `train` only; -1 for all.

    Raises:
        DataError: `way` or `num_train_classes` is out of range.
    """

    input_shape = (SIDE, SIDE, 3)
    is_classification = True

    def __init__(
        self,
        splits: dict[str, ClassFiles],
        images: np.ndarray,
        way: int,
        num_train_classes: int = -1,
    ):
        self.class_names = [name for split in SPLITS for name in splits[split]]
        self._sizes = np.array([len(files) for split in SPLITS for files in splits[split].values()])
        self._first_images = np.concatenate([[0], np.cumsum(self._sizes)[:-1]])
        ends = np.cumsum([len(splits[split]) for split in SPLITS])
        ids = np.split(np.arange(ends[-1]), ends[:-1])
        self._class_ids = dict(zip(SPLITS, ids, strict=True))
        self._class_ids["train"] = first_train_classes(self._class_ids["train"], num_train_classes)
        self._images = images
        self.output_size = way
        self.check("train", shot=0, query=0)

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
        cache = Path(cache_dir, f"miniimagenet-{key}.npy")
        return cls(splits, open_image_cache(cache, tree, files, SIDE), way, num_train_classes)

    def class_ids(self, split: str) -> np.ndarray:
        """Return the places in `class_names` of the classes of a split."""
        return self._class_ids[split]

    def check(self, split: str, *, shot: int, query: int) -> None:
        """Raise the DataError that `episodes` would raise for these sizes."""
        ids = self.class_ids(split)
        names = [self.class_names[i] for i in ids]
        check_classes(split, names, self._sizes[ids], way=self.output_size, shot=shot, query=query)

    def episodes(
        self,
        split: str,
        seed: int,
        iteration: int | tf.Tensor,
        *,
        tasks: int,
        shot: int,
        query: int,
    ) -> Episode:
        """Draw `tasks` episodes with `shot` support and `query` query images of each class.

        Inputs are in [0, 1], [tasks, way * shot (or query), 84, 84, 3].

        Raises:
            DataError: `way` is more than the split's classes, or a class has too few images.
        """
        stream = stream_id("miniimagenet", seed, split)
        self.check(split, shot=shot, query=query)
        way, ids = self.output_size, self.class_ids(split)
        sample = sample_classes(
            stream, iteration, self._sizes[ids], tasks=tasks, way=way, per_class=shot + query
        )
        first = tf.gather(tf.constant(self._first_images[ids], tf.int32), sample.classes)
        pixels = tf.numpy_function(self._images.__getitem__, [first + sample.images], tf.uint8)
        pixels = tf.ensure_shape(pixels, [tasks, way * (shot + query), *self.input_shape])
        x = tf.cast(pixels, tf.float32) * (1.0 / 255.0)
        return split_episode(x, tf.one_hot(sample.labels, way), way * shot)
