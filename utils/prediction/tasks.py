"""The task that a model is asked: a user's folders of images, or a task of the test split."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from data_generators import DataError, ImageInput, TaskSource
from data_generators.images.file_tree import FileTree, FolderTree
from data_generators.images.folders import (
    ClassFiles,
    alike,
    check_disjoint,
    loose_images,
    other_files,
)
from data_generators.images.formats import is_image
from data_generators.images.left_out import LeftOut
from utils.command.configuration import IMAGE_SOURCES, Config
from utils.errors import UsageError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageTask:
    """Images to learn from, the support set, and images to classify, the queries.

    Attributes:
        classes: names of the classes.
        support_x: float32 [support, height, width, channels].
        support_labels: the class of every support image, [support].
        query_names: of the queries.
        query_x: float32 [queries, height, width, channels].
        query_labels: the class of every query, [queries], where it is known.
    """

    classes: list[str]
    support_x: np.ndarray
    support_labels: np.ndarray
    query_names: list[str]
    query_x: np.ndarray
    query_labels: np.ndarray | None = None


def read_task(support: str, query: str, image_input: ImageInput) -> ImageTask:
    """Read class folders to learn from, and all images below a folder to classify.

    What cannot be read is named with its reason, counted and left out.

    Args:
        support: the folder of class folders.
        query: the other folder.
        image_input: what the model takes.

    Raises:
        UsageError: no class folders, one without a readable image, or no readable query.
        DataError: a folder cannot be listed, or two classes have names that look alike.
    """
    classes, support_x, labels = _read_support(support, image_input)
    return ImageTask(classes, support_x, labels, *_read_queries(query, image_input))


def held_out_task(source: TaskSource, config: Config, image_input: ImageInput) -> ImageTask:
    """One task of the test split.

    Args:
        source: of the task.
        config: whose seed is the task's number, and its numbers of examples.
        image_input: what the model takes.

    Raises:
        UsageError: the source has no images, or others than the model takes.
    """
    if source.image_input is None:
        raise UsageError(
            f"--predict needs --support and --query, or --datasource="
            f"{' or '.join(IMAGE_SOURCES)}, got {config.datasource!r}"
        )
    if source.image_input != image_input:
        raise UsageError(
            f"--model takes images of {_in_words(image_input)}, but --datasource="
            f"{config.datasource} gives images of {_in_words(source.image_input)}"
        )
    episode = source.held_out(
        "test",
        tf.constant([config.seed]),
        shot=config.update_batch_size,
        query=config.query_batch_size,
    )
    classes = [f"class {number + 1}" for number in range(source.output_size)]
    labels, truth = (
        np.argmax(targets[0], axis=1) for targets in (episode.support_y, episode.query_y)
    )
    names = [f"query {number + 1} ({classes[label]})" for number, label in enumerate(truth)]
    return ImageTask(
        classes, episode.support_x[0].numpy(), labels, names, episode.query_x[0].numpy(), truth
    )


def _in_words(image_input: ImageInput) -> str:
    """What a person has to know of it."""
    colours = "grey" if image_input.grey else "in colours"
    black = int(image_input.ink_is_one)
    side = image_input.size
    return f"{side} x {side} pixels, {colours}, black = {black}"


def _read_support(folder: str, image_input: ImageInput) -> tuple[list[str], np.ndarray, np.ndarray]:
    left_out = LeftOut()
    tree = _open("support", folder, left_out)
    classes: ClassFiles = {}
    for name in sorted(filter(is_image, tree.files)):
        label, _, file = name.partition("/")
        if file:
            classes.setdefault(label, []).append(name)
    left_out.add_all("image", loose_images(tree))
    if not classes:
        raise UsageError(f"--support={folder} has no class folders with images in them")
    check_disjoint(tree, {"--support": classes})
    if pairs := alike(classes):
        _log.warning("taken as different classes: %s", pairs)
    images, labels = [], []
    for number, (label, files) in enumerate(classes.items()):
        readable = _read(tree, files, image_input, left_out)
        if not readable:
            raise UsageError(f"--support={folder}: class {label} has no readable image")
        images += list(readable.values())
        labels += [number] * len(readable)
    left_out.say_total()
    return list(classes), np.stack(images), np.array(labels)


def _read_queries(folder: str, image_input: ImageInput) -> tuple[list[str], np.ndarray]:
    left_out = LeftOut()
    tree = _open("query", folder, left_out)
    readable = _read(tree, sorted(filter(is_image, tree.files)), image_input, left_out)
    if not readable:
        raise UsageError(f"--query={folder} has no readable image")
    left_out.say_total()
    return list(readable), np.stack(list(readable.values()))


def _open(flag: str, folder: str, left_out: LeftOut) -> FileTree:
    if not Path(folder).is_dir():
        raise UsageError(f"--{flag}={folder} is not a folder")
    tree = FolderTree(Path(folder))
    left_out.add_all("path", tree.left_out)
    if others := other_files(tree):
        _log.warning("--%s: passed over, not images by their names: %s", flag, others)
    return tree


def _read(
    tree: FileTree, names: list[str], image_input: ImageInput, left_out: LeftOut
) -> dict[str, np.ndarray]:
    images = {}
    for name in names:
        try:
            images[name] = image_input.read(tree, name)
        except DataError as error:
            left_out.add("image", str(error))
    return images
