"""Tasks to predict: class folders and images of a user, or a task of a held-out split."""

import logging
from pathlib import Path

import numpy as np
import tensorflow as tf

from data_generators import DataError, Omniglot
from data_generators.images.episodes import ImageEpisodes
from data_generators.images.file_tree import FileTree, FolderTree
from data_generators.images.folders import is_image
from utils.errors import UsageError
from utils.prediction.model_input import ModelInput
from utils.prediction.predictions import Examples

_log = logging.getLogger(__name__)


def read_support(folder: str, model_input: ModelInput) -> Examples:
    """Read class folders of images; what cannot be read is named and left out.

    Raises:
        UsageError: no class folders, or one without a readable image.
    """
    tree = _open("support", folder)
    classes: dict[str, list[str]] = {}
    for name in sorted(tree.files):
        label, _, file = name.partition("/")
        if file and is_image(file):
            classes.setdefault(label, []).append(name)
    if not classes:
        raise UsageError(f"--support={folder} has no class folders with images in them")
    names, images, labels = [], [], []
    for number, (label, files) in enumerate(classes.items()):
        readable = _read(tree, files, model_input)
        if not readable:
            raise UsageError(f"--support={folder}: class {label} has no readable image")
        names += list(readable)
        images += list(readable.values())
        labels += [number] * len(readable)
    return Examples(list(classes), names, np.stack(images), np.array(labels))


def read_queries(folder: str, model_input: ModelInput) -> tuple[list[str], np.ndarray]:
    """Read all images below a folder; what cannot be read is named and left out.

    Raises:
        UsageError: there is no readable image.
    """
    tree = _open("query", folder)
    readable = _read(tree, sorted(filter(is_image, tree.files)), model_input)
    if not readable:
        raise UsageError(f"--query={folder} has no readable image")
    return list(readable), np.stack(list(readable.values()))


def held_out_task(
    source: Omniglot | ImageEpisodes, number: int, *, shot: int, query: int
) -> tuple[Examples, list[str], np.ndarray, np.ndarray]:
    """One task of the test split: its support set, and names, images and truth of its queries."""
    episode = source.held_out("test", tf.constant([number]), shot=shot, query=query)
    classes = [f"class {number + 1}" for number in range(source.output_size)]
    labels, truth = (
        np.argmax(targets[0], axis=1) for targets in (episode.support_y, episode.query_y)
    )
    support = Examples(
        classes, [classes[label] for label in labels], episode.support_x[0].numpy(), labels
    )
    names = [f"query {number + 1} ({classes[label]})" for number, label in enumerate(truth)]
    return support, names, episode.query_x[0].numpy(), truth


def _open(flag: str, folder: str) -> FileTree:
    if not Path(folder).is_dir():
        raise UsageError(f"--{flag}={folder} is not a folder")
    return FolderTree(Path(folder))


def _read(tree: FileTree, names: list[str], model_input: ModelInput) -> dict[str, np.ndarray]:
    images = {}
    for name in names:
        try:
            images[name] = model_input.read(tree, name)
        except DataError as error:
            _log.warning("left out: %s", error)
    if len(images) < len(names):
        _log.warning("%d of %d images are unreadable", len(names) - len(images), len(names))
    return images
