"""N-way K-shot sampling, shared by the image data sets."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from data_generators.episode import is_whole
from data_generators.errors import DataError
from data_generators.random_streams import held_out_draw, uniform


class ClassSample(NamedTuple):
    """Which image stands at each place of each episode; every field is int32 [tasks, examples].

    Examples are listed shot by shot: first one of every class in a random order, then the next
    one of every class, in another order.

    Attributes:
        labels: the class's number within the episode, 0..way-1.
        classes: the class's number within the split.
        images: the image's number within its class; distinct within class and episode.
        quarter_turns: 0..3, the same for all examples of a class in an episode.
    """

    labels: tf.Tensor
    classes: tf.Tensor
    images: tf.Tensor
    quarter_turns: tf.Tensor


def check_classes(
    split: str, names: Sequence[str], sizes: np.ndarray, *, way: int, shot: int, query: int
) -> None:
    """Check that a split has classes and images enough for an episode.

    Args:
        split: name of the split, for the message.
        names: the names of its classes.
        sizes: the number of images of each class.
        way: classes an episode needs.
        shot: support images each of them needs.
        query: query images each of them needs.

    Raises:
        DataError: it has not; the line names the flag to change and what would be right.
    """
    if not is_whole(way) or not 1 <= way <= len(names):
        raise DataError(
            f"--num_classes must be between 1 and {len(names)}, "
            f"the classes of the {split} split, got {way!r:.100}"
        )
    smallest = int(np.argmin(sizes))
    if shot + query > sizes[smallest]:
        raise DataError(
            f"--update_batch_size={shot} with {query} query images needs {shot + query} images "
            f"of every class, but {names[smallest]} of the {split} split has {sizes[smallest]}"
        )


def first_train_classes(ids: np.ndarray, number: int) -> np.ndarray:
    """Take the first `number` of the train split's classes; -1 for all.

    Raises:
        DataError: there are not so many.
    """
    if not is_whole(number) or not (number == -1 or 1 <= number <= len(ids)):
        raise DataError(
            f"--num_train_classes must be between 1 and {len(ids)}, or -1 for all, got "
            f"{number!r:.100}"
        )
    if number == -1:
        return ids
    return ids[:number]


def sample_classes(
    stream: int,
    iteration: int | tf.Tensor,
    sizes: np.ndarray,
    *,
    tasks: int,
    way: int,
    per_class: int,
) -> ClassSample:
    """Draw `way` distinct classes a task and `per_class` distinct images of each.

    Args:
        stream: the random stream, see `random_streams`.
        iteration: the meta-iteration to draw.
        sizes: the number of images of each class, [classes]; they may differ.
        tasks: episodes to draw.
        way: classes an episode.
        per_class: images a class, support and query together.
    """
    count, largest = len(sizes), int(np.max(sizes))
    widths = [count, way * largest, per_class * way, way]
    unit = uniform(stream, iteration, [tasks, sum(widths)])
    class_scores, image_scores, order_scores, turns = tf.split(unit, widths, axis=1)

    classes = _largest(class_scores, way)
    image_scores = tf.reshape(image_scores, [tasks, way, largest])
    images = _largest(_of_available(image_scores, sizes, classes), per_class)
    labels = _largest(tf.reshape(order_scores, [tasks, per_class, way]), way)
    return _listed(labels, classes, images, turns)


def held_out_classes(
    source: str,
    split: str,
    numbers: tf.Tensor,
    sizes: np.ndarray,
    *,
    way: int,
    shot: int,
    query: int,
) -> ClassSample:
    """The classes and images of numbered held-out tasks, support images first.

    A task has the same classes for any `shot` and `query`, and the same images from the first on:
    each class's are put into one order, of which support images are taken from the front and
    queries from the back.

    Args:
        source: name of the data source.
        split: of the classes.
        numbers: of the tasks, int32 [tasks].
        sizes: the number of images of each class, [classes], at least `shot + query`.
        way: classes an episode.
        shot: support images a class.
        query: queries a class.
    """
    draw = held_out_draw(source, split, numbers)
    largest = int(np.max(sizes))
    classes = _largest(draw("classes", [len(sizes)]), way)
    order = _largest(_of_available(draw("images", [way, largest]), sizes, classes), largest)
    available = tf.gather(tf.constant(sizes, tf.int32), classes)[..., tf.newaxis]
    last = tf.gather(order, available - 1 - tf.range(query), batch_dims=2)
    images = tf.concat([order[..., :shot], last], axis=-1)
    labels = [
        _largest(draw(f"order of {name}", [n, way]), way)
        for name, n in (("support", shot), ("queries", query))
    ]
    return _listed(tf.concat(labels, axis=1), classes, images, draw("turns", [way]))


def _largest(scores: tf.Tensor, count: int) -> tf.Tensor:
    """The places of the `count` largest numbers, int32: of uniform ones, without replacement."""
    return tf.math.top_k(scores, count).indices


def _of_available(scores: tf.Tensor, sizes: np.ndarray, classes: tf.Tensor) -> tf.Tensor:
    """[tasks, way, largest] with -1 where the class [tasks, way] has no image of that number."""
    available = tf.gather(tf.constant(sizes, tf.int32), classes)[..., tf.newaxis]
    return tf.where(tf.range(scores.shape[-1]) < available, scores, -1.0)


def _listed(
    labels: tf.Tensor, classes: tf.Tensor, images: tf.Tensor, turns: tf.Tensor
) -> ClassSample:
    """List the examples shot by shot.

    Args:
        labels: the order of the classes in every shot, [tasks, shots, way].
        classes: [tasks, way].
        images: of every class, [tasks, way, shots].
        turns: uniform numbers [tasks, way].
    """
    _, per_class, way = labels.shape
    examples = per_class * way
    labels = tf.reshape(labels, [-1, examples])
    shots = tf.repeat(tf.range(per_class), way)
    images = tf.reshape(images, [-1, examples])
    return ClassSample(
        labels=labels,
        classes=tf.gather(classes, labels, batch_dims=1),
        images=tf.gather(images, labels * per_class + shots, batch_dims=1),
        quarter_turns=tf.gather(tf.cast(4.0 * turns, tf.int32), labels, batch_dims=1),
    )
