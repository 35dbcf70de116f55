"""Omniglot: N-way K-shot classification of handwritten characters (section 6.4)."""

import functools
import zlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from data_generators.data_record import DataRecord, image_class
from data_generators.episode import Episode, check_draw, split_episode
from data_generators.images import omniglot_files
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
from data_generators.images.omniglot_files import DRAWINGS, SIDE, load_drawings
from data_generators.images.repeated_images import warn_of_repeated_images
from data_generators.random_streams import check_split, stream_id

TRAIN, VAL = 1100, 100  # characters; the others, 423 of 1623, are held out for test
# The real data set, which has one drawing twice (docs/own-images.md), as everybody may know.
OMNIGLOT = "303b4f807d8b04a5"


class Omniglot:
    """Draws episodes of characters, each class in one random orientation an episode.

    The characters of both image sets are pooled and shuffled once, in the same way on every
    machine: 1100 to train, 100 to validate, 423 to test.

    Args:
        class_names: names of all characters, sorted.
        images: uint8 [characters, 20, 28, 28], ink = 255.
        way: classes an episode.
        num_train_classes: train on the first so many of the 1100 only; -1 for all.
        contents: of the drawings' files; without it the pixels are the data.

    Raises:
        DataError: `way` or `num_train_classes` is out of range.
    """

    input_shape = (SIDE, SIDE, 1)
    is_classification = True
    draws_on_device = True
    image_input = ImageInput(SIDE, grey=True, ink_is_one=True)

    def __init__(
        self,
        class_names: Sequence[str],
        images: np.ndarray,
        way: int,
        num_train_classes: int = -1,
        contents: Contents | None = None,
    ):
        # RandomState's stream is frozen: every version of NumPy shuffles alike.
        order = np.random.RandomState(1).permutation(len(class_names))
        self._class_ids = {
            "train": first_train_classes(order[:TRAIN], num_train_classes),
            "val": order[TRAIN : TRAIN + VAL],
            "test": order[TRAIN + VAL :],
        }
        self.class_names = list(class_names)
        self.output_size = way
        self._contents = contents
        self._drawings = np.ascontiguousarray(images).reshape(-1, SIDE, SIDE)
        self._on_device = DeviceImages(lambda: self._drawings, [SIDE, SIDE])
        self.check("train", shot=0, query=0)

    @classmethod
    def load(
        cls,
        data_path: str | None,
        cache_dir: str,
        way: int,
        num_train_classes: int = -1,
        *,
        base_url: str = omniglot_files.URL,
    ) -> "Omniglot":
        """Read the drawings under `data_path`, or download them; see `load_drawings`."""
        drawings = load_drawings(data_path, cache_dir, base_url=base_url)
        source = cls(drawings.names, drawings.images, way, num_train_classes, drawings.contents)
        if source.data_record.fingerprint != OMNIGLOT:
            source.warn_of_repeated_images()
        return source

    def class_ids(self, split: str) -> np.ndarray:
        """Return the places in `class_names` of the characters of a split."""
        check_split(split)
        return self._class_ids[split]

    @functools.cached_property
    def data_record(self) -> DataRecord:
        """The characters of every split and their drawings."""
        drawings = self._checksums.reshape(-1, DRAWINGS)
        return DataRecord(
            {
                split: {self.class_names[i]: image_class(drawings[i]) for i in ids}
                for split, ids in self._class_ids.items()
            }
        )

    def warn_of_repeated_images(self) -> None:
        """Say which drawings are there more than once, see `repeated_images`."""
        rows = np.arange(len(self._drawings)).reshape(-1, DRAWINGS)
        contents = self._contents
        warn_of_repeated_images(
            {
                split: {self.class_names[i]: rows[i] for i in ids}
                for split, ids in self._class_ids.items()
            },
            dict(enumerate(self._checksums.tolist())),
            picture=lambda row: self._drawings[row].tobytes(),
            name=str if contents is None else contents.name,
        )

    @functools.cached_property
    def _checksums(self) -> np.ndarray:
        """CRC-32 of every drawing's file."""
        if self._contents is None:
            return np.array([zlib.crc32(drawing.tobytes()) for drawing in self._drawings])
        return self._contents.checksums(np.arange(len(self._drawings)))

    def check(self, split: str, *, shot: int, query: int) -> None:
        """Raise the error that `episodes` would raise for these sizes."""
        check_draw(split, shot=shot, query=query)
        names = [self.class_names[i] for i in self.class_ids(split)]
        sizes = np.full(len(names), DRAWINGS)
        check_classes(split, names, sizes, way=self.output_size, shot=shot, query=query)

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
        """Draw `tasks` episodes with `shot` support and `query` query drawings of each class.

        Inputs are in [0, 1], ink = 1, [tasks, way * shot (or query), 28, 28, 1].

        Raises:
            DataError: `way` is more than the split's classes, or shot + query more than 20.
        """
        check_draw(split, seed=seed, tasks=tasks, shot=shot, query=query)
        stream = stream_id("omniglot", seed, split)
        self.check(split, shot=shot, query=query)
        way, class_ids = self.output_size, self.class_ids(split)
        sample = sample_classes(
            stream,
            iteration,
            np.full(len(class_ids), DRAWINGS),
            tasks=tasks,
            way=way,
            per_class=shot + query,
        )
        return self._tasks(class_ids, sample, shot)

    def held_out(self, split: str, numbers: tf.Tensor, *, shot: int, query: int) -> Episode:
        """The tasks of these numbers, int32 [tasks]; see `held_out_classes`.

        Raises:
            DataError: `way` is more than the split's classes, or shot + query more than 20.
        """
        self.check(split, shot=shot, query=query)
        ids = self.class_ids(split)
        sizes = {"way": self.output_size, "shot": shot, "query": query}
        sample = held_out_classes("omniglot", split, numbers, np.full(len(ids), DRAWINGS), **sizes)
        return self._tasks(ids, sample, shot)

    def _tasks(self, class_ids: np.ndarray, sample: ClassSample, shot: int) -> Episode:
        characters = tf.gather(tf.constant(class_ids, tf.int32), sample.classes)
        images = self._on_device.gather(characters * DRAWINGS + sample.images)
        images = _rotate(images, sample.quarter_turns)
        # A product: the graph optimizer would turn a division into one, with other bits.
        x = tf.cast(images[..., tf.newaxis], tf.float32) * (1.0 / 255.0)
        return split_episode(
            x, tf.one_hot(sample.labels, self.output_size), self.output_size * shot
        )


def _rotate(images: tf.Tensor, quarter_turns: tf.Tensor) -> tf.Tensor:
    """Turn each image counterclockwise.

    Args:
        images: [tasks, examples, height, width].
        quarter_turns: int32 [tasks, examples], 0..3.
    """
    turns = quarter_turns[..., tf.newaxis, tf.newaxis]
    images = tf.where(turns % 2 == 1, tf.transpose(images, [0, 1, 3, 2]), images)
    images = tf.where((turns == 1) | (turns == 2), tf.reverse(images, [2]), images)
    return tf.where(turns >= 2, tf.reverse(images, [3]), images)
