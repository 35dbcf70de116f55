"""N-way K-shot episodes of images that lie, class by class, in one memory-mapped array."""

import functools
import math
import zlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from data_generators.data_record import DataRecord, image_class
from data_generators.episode import Episode, check_draw, split_episode
from data_generators.images.cache import read_rows
from data_generators.images.class_sampling import (
    ClassSample,
    check_classes,
    first_train_classes,
    held_out_classes,
    sample_classes,
)
from data_generators.images.contents import Contents
from data_generators.images.device_images import DeviceImages
from data_generators.images.image_input import ImageInput
from data_generators.images.repeated_images import warn_of_repeated_images
from data_generators.random_streams import SPLITS, check_split, stream_id

ClassRows = Mapping[str, np.ndarray]
"""Name of a class -> which rows of the array are its images."""


class ImageEpisodes:
    """Draws episodes of images; classes may have different numbers of them.

    Args:
        name: of the data source, which names its random streams.
        splits: the classes of train, val and test.
        pixels: uint8 [images, height, width, channels]; may be memory-mapped.
        way: classes an episode.
        num_train_classes: train on the first so many classes of `train` only; -1 for all.
        contents: of the files that the rows come from; without it the pixels are the data.

    Attributes:
        device_bytes: so many bytes of images may lie in the memory of the device that trains; if a
            split has more, the host reads what is drawn.

    Raises:
        DataError: `way` or `num_train_classes` is out of range.
    """

    is_classification = True

    def __init__(
        self,
        name: str,
        splits: Mapping[str, ClassRows],
        pixels: np.ndarray,
        way: int,
        num_train_classes: int = -1,
        contents: Contents | None = None,
    ):
        self.name = name
        self._contents = contents
        self.input_shape = pixels.shape[1:]
        self.output_size = way
        self.image_input = ImageInput(pixels.shape[1], grey=pixels.shape[3] == 1, ink_is_one=False)
        self.class_names = [label for split in SPLITS for label in splits[split]]
        rows = [images for split in SPLITS for images in splits[split].values()]
        self._sizes = np.array([len(images) for images in rows])
        self._rows = np.concatenate([*rows, np.zeros(0, np.int64)])
        self._first_rows = np.cumsum(self._sizes) - self._sizes
        ends = np.cumsum([len(splits[split]) for split in SPLITS])
        ids = np.split(np.arange(ends[-1]), ends[:-1])
        self._class_ids = dict(zip(SPLITS, ids, strict=True))
        self._class_ids["train"] = first_train_classes(self._class_ids["train"], num_train_classes)
        self._pixels = pixels
        self.device_bytes = 0
        self._on_device = {
            split: DeviceImages(functools.partial(self._images_of, split), self.input_shape)
            for split in SPLITS
        }
        self.check("train", shot=0, query=0)

    def class_ids(self, split: str) -> np.ndarray:
        """Return the places in `class_names` of the classes of a split."""
        check_split(split)
        return self._class_ids[split]

    @functools.cached_property
    def data_record(self) -> DataRecord:
        """The classes of every split and their images."""
        found = self._checksums
        return DataRecord(
            {
                split: {
                    label: image_class([found[row] for row in rows])
                    for label, rows in classes.items()
                }
                for split, classes in self._used.items()
            }
        )

    def warn_of_repeated_images(self) -> None:
        """Say which images are there more than once, see `repeated_images`.

        Raises:
            DataError: a file cannot be read.
        """
        contents = self._contents
        warn_of_repeated_images(
            self._used,
            self._checksums,
            picture=lambda row: self._pixels[row].tobytes(),
            name=str if contents is None else contents.name,
        )

    @property
    def _used(self) -> dict[str, ClassRows]:
        """The classes of every split that tasks are drawn from."""
        return {
            split: {self.class_names[i]: self._rows_of(i) for i in self._class_ids[split]}
            for split in SPLITS
        }

    @functools.cached_property
    def _checksums(self) -> dict[int, int]:
        """Row -> CRC-32 of its file."""
        rows = np.concatenate([rows for part in self._used.values() for rows in part.values()])
        if self._contents is None:
            found = np.array([zlib.crc32(self._pixels[row].tobytes()) for row in rows])
        else:
            found = self._contents.checksums(rows)
        return dict(zip(rows.tolist(), found.tolist(), strict=True))

    def _rows_of(self, class_id: int) -> np.ndarray:
        first = self._first_rows[class_id]
        return self._rows[first : first + self._sizes[class_id]]

    @property
    def draws_on_device(self) -> bool:
        """Whether the train split's images are in the device's memory."""
        return self._is_on_device("train")

    def _is_on_device(self, split: str) -> bool:
        images = int(self._sizes[self.class_ids(split)].sum())
        return images * math.prod(self.input_shape) <= self.device_bytes

    def labelled_images(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """All images of a split, uint8 [images, height, width, channels], and their classes.

        The classes are numbered from 0 within the split.
        """
        sizes = self._sizes[self.class_ids(split)]
        return self._images_of(split), np.repeat(np.arange(len(sizes)), sizes)

    def _images_of(self, split: str) -> np.ndarray:
        """All images of a split, class by class."""
        return read_rows(
            self._pixels, np.concatenate([self._rows_of(i) for i in self.class_ids(split)])
        )

    def check(self, split: str, *, shot: int, query: int) -> None:
        """Raise the error that `episodes` would raise for these sizes."""
        check_draw(split, shot=shot, query=query)
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

        Inputs are in [0, 1], [tasks, way * shot (or query), height, width, channels].

        Raises:
            DataError: `way` is more than the split's classes, or a class has too few images.
        """
        check_draw(split, seed=seed, tasks=tasks, shot=shot, query=query)
        stream = stream_id(self.name, seed, split)
        self.check(split, shot=shot, query=query)
        way, ids = self.output_size, self.class_ids(split)
        sample = sample_classes(
            stream, iteration, self._sizes[ids], tasks=tasks, way=way, per_class=shot + query
        )
        if not self._is_on_device(split):
            return self._tasks(self._read_by_host(ids, sample), sample, shot)
        sizes = self._sizes[ids]
        first = tf.gather(tf.constant(np.cumsum(sizes) - sizes, tf.int32), sample.classes)
        return self._tasks(self._on_device[split].gather(first + sample.images), sample, shot)

    def held_out(self, split: str, numbers: tf.Tensor, *, shot: int, query: int) -> Episode:
        """The tasks of these numbers, int32 [tasks]; see `held_out_classes`.

        Raises:
            DataError: `way` is more than the split's classes, or a class has too few images.
        """
        self.check(split, shot=shot, query=query)
        ids = self.class_ids(split)
        sizes = {"way": self.output_size, "shot": shot, "query": query}
        sample = held_out_classes(self.name, split, numbers, self._sizes[ids], **sizes)
        return self._tasks(self._read_by_host(ids, sample), sample, shot)

    def _read_by_host(self, ids: np.ndarray, sample: ClassSample) -> tf.Tensor:
        first = tf.gather(tf.constant(self._first_rows[ids], tf.int32), sample.classes)
        pixels = tf.numpy_function(self._read, [first + sample.images], tf.uint8)
        return tf.ensure_shape(pixels, [*sample.labels.shape, *self.input_shape])

    def _tasks(self, pixels: tf.Tensor, sample: ClassSample, shot: int) -> Episode:
        x = tf.cast(pixels, tf.float32) * (1.0 / 255.0)
        return split_episode(
            x, tf.one_hot(sample.labels, self.output_size), self.output_size * shot
        )

    def _read(self, images: np.ndarray) -> np.ndarray:
        return read_rows(self._pixels, self._rows[images])
