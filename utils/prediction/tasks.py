"""The task that a model is asked: a user's folders of images, or a task of the test split."""

import hashlib
import logging
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from data_generators import DataError, ImageInput, TaskSource
from data_generators.errors import printable
from data_generators.images.file_tree import FileTree, FolderTree
from data_generators.images.folders import (
    ClassFiles,
    alike,
    check_disjoint,
    loose_images,
    other_files,
    some,
    what_there_is,
    without_images,
)
from data_generators.images.formats import is_image
from data_generators.images.left_out import LeftOut
from data_generators.images.named_file import NamedFile
from data_generators.images.split_names import split_named
from system.progress import Progress
from utils.command.configuration import IMAGE_SOURCES, Config
from utils.command.memory_needs import check_images
from utils.errors import UsageError

SILENT = 3.0  # seconds of reading without a word

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SupportSet:
    """Images to learn from.

    Attributes:
        classes: names of the classes.
        x: float32 [support, height, width, channels].
        labels: the class of every image, [support].
    """

    classes: list[str]
    x: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Queries:
    """Images to classify.

    Attributes:
        names: of the images.
        x: float32 [queries, height, width, channels].
        labels: the class of every image, [queries], where it is known.
    """

    names: list[str]
    x: np.ndarray
    labels: np.ndarray | None = None


def read_support(folder: str, image_input: ImageInput) -> SupportSet:
    """Read class folders to learn from, with any number of images in each.

    What cannot be read is named with its reason, counted and left out.

    Args:
        folder: of the class folders.
        image_input: what the model takes.

    Raises:
        UsageError: fewer than two class folders, or one without a readable image; or the folders
            are those of splits.
        DataError: the folder cannot be listed, or two classes have names that look alike.
    """
    left_out = LeftOut()
    tree = _open("support", folder, left_out)
    classes: ClassFiles = {}
    for name in sorted(filter(is_image, tree.files)):
        label, _, file = name.partition("/")
        if file:
            classes.setdefault(label, []).append(name)
    left_out.add_all("image", loose_images(tree))
    left_out.add_all("folder", without_images(tree, classes))
    if not classes:
        raise UsageError(
            f"--support={folder} has no class folders with images in them: {what_there_is(tree)}"
        )
    if len(classes) == 1:
        raise UsageError(
            f"--support={folder} has one class folder, {next(iter(classes))}: give at least two"
        )
    _check_no_splits(folder, classes)
    check_disjoint(tree, {"--support": classes})
    if nested := _nested(classes):
        _log.warning("taken as one class each, with all that lies below: %s", some(nested))
    if pairs := alike(classes):
        _log.warning("taken as different classes: %s", pairs)
    _check_memory(f"--support={folder}", sum(map(len, classes.values())), image_input)
    images, labels = [], []
    first: dict[bytes, tuple[int, str]] = {}
    in_several = []
    for number, (label, files) in enumerate(classes.items()):
        readable = _read(tree, files, image_input, left_out)
        if not readable:
            raise UsageError(f"--support={folder}: class {label} has no readable image")
        images += list(readable.values())
        labels += [number] * len(readable)
        for file, image in readable.items():
            other_number, other = first.setdefault(
                hashlib.sha256(image.tobytes()).digest(), (number, file)
            )
            if other_number != number:
                in_several.append(f"{other} = {file}")
    if in_several:
        _log.warning("the same image in several classes: %s", some(in_several))
    left_out.say_total()
    return SupportSet(list(classes), np.stack(images), np.array(labels))


def read_queries(paths: Sequence[str], image_input: ImageInput) -> Queries:
    """Read images to classify. One that is named twice is read once.

    What cannot be read is named with its reason, counted and left out. The images of one folder are
    named by their paths in it, all others by their paths as given.

    Args:
        paths: of images and of folders, below which all images are read.
        image_input: what the model takes.

    Raises:
        UsageError: a path is neither a file nor a folder, or no image is readable.
        DataError: a folder cannot be listed.
    """
    left_out = LeftOut()
    found: list[tuple[FileTree, str, list[str]]] = []
    for path in paths:
        if Path(path).is_dir():
            tree = _open("query", path, left_out)
            within = "" if len(paths) == 1 else printable(path)
            names = sorted(filter(is_image, tree.files))
        elif Path(path).exists():
            tree, within = NamedFile(Path(path)), ""
            left_out.add_all("path", tree.left_out)
            names = list(tree.files)
        else:
            raise UsageError(f"--query={path} is neither a file nor a folder")
        found.append((tree, within, names))
    _check_memory(f"--query={some(paths)}", sum(len(names) for *_, names in found), image_input)
    images: dict[str, np.ndarray] = {}
    for tree, within, names in found:
        for name, image in _read(tree, names, image_input, left_out).items():
            images[Path(within, name).as_posix()] = image
    if not images:
        raise UsageError(f"--query={some(paths)} has no readable image")
    left_out.say_total()
    return Queries(list(images), np.stack(list(images.values())))


def held_out_task(
    source: TaskSource, config: Config, image_input: ImageInput
) -> tuple[SupportSet, Queries]:
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
    return (
        SupportSet(classes, episode.support_x[0].numpy(), labels),
        Queries(names, episode.query_x[0].numpy(), truth),
    )


def _in_words(image_input: ImageInput) -> str:
    """What a person has to know of it."""
    colours = "grey" if image_input.grey else "in colours"
    black = int(image_input.ink_is_one)
    side = image_input.size
    return f"{side} x {side} pixels, {colours}, black = {black}"


def _open(flag: str, folder: str, left_out: LeftOut) -> FileTree:
    if not Path(folder).is_dir():
        raise UsageError(f"--{flag}={folder} is not a folder")
    tree = FolderTree(Path(folder))
    left_out.add_all("path", tree.left_out)
    if others := other_files(tree):
        _log.warning("--%s: passed over, not images by their names: %s", flag, others)
    return tree


def _check_no_splits(folder: str, classes: ClassFiles) -> None:
    """A data set's train/, val/ and test/ are not its classes."""
    named = [label for label in classes if split_named(label)]
    if len({split_named(label) for label in named}) < 2:
        return
    if all(file.count("/") > 1 for label in named for file in classes[label]):
        raise UsageError(
            f"--support={folder} has {some([f'{label}/' for label in named])} with folders of "
            f"classes in them: name one of these, such as --support={Path(folder, named[0])}"
        )
    _log.warning("taken as classes, though they are named like splits: %s", some(named))


def _nested(classes: ClassFiles) -> list[str]:
    """The classes whose images are in several folders, and how many these are."""
    folders = {
        label: len({posixpath.dirname(file) for file in files}) for label, files in classes.items()
    }
    return [f"{label} ({number} folders)" for label, number in folders.items() if number > 1]


def _read(
    tree: FileTree, names: list[str], image_input: ImageInput, left_out: LeftOut
) -> dict[str, np.ndarray]:
    images = {}
    with Progress(f"Reading {tree.root}", len(names), "images", after=SILENT) as progress:
        for number, name in enumerate(names, start=1):
            try:
                images[name] = image_input.read(tree, name)
            except DataError as error:
                left_out.add("image", str(error))
            progress.update(number)
    return images


def _check_memory(flag: str, count: int, image_input: ImageInput) -> None:
    check_images(flag, count, image_input.size, 1 if image_input.grey else 3)
