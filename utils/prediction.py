"""Learning a support set, such as a user's class folders, and classifying other images."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from data_generators import DataError, Omniglot
from data_generators.file_tree import FileTree, FolderTree
from data_generators.image_episodes import ImageEpisodes
from data_generators.image_folders import is_image
from utils.errors import UsageError
from utils.model_input import ModelInput

# Images are normalized together with those that are classified at the same time; of many, so many
# at a time, which also bounds the memory.
QUERIES_AT_ONCE = 100

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Examples:
    """Images to learn from.

    Attributes:
        classes: names of the classes.
        names: of the images.
        x: float32 [images, height, width, channels].
        labels: the class of every image.
    """

    classes: list[str]
    names: list[str]
    x: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Predictions:
    """What a model says of images.

    Attributes:
        support: the images it learned from.
        names: of the images classified.
        x: float32 [images, height, width, channels].
        probabilities: [images, classes].
        truth: the class of every image, where it is known.
    """

    support: Examples
    names: list[str]
    x: np.ndarray
    probabilities: np.ndarray
    truth: np.ndarray | None = None

    @property
    def labels(self) -> np.ndarray:
        """The most likely class of every image."""
        return self.probabilities.argmax(axis=1)

    def to_table(self) -> str:
        """One line an image: name, class and probability, in Markdown."""
        rows = [("image", "class", "probability"), ("---", "---", "---:")]
        rows += [
            (name, self.support.classes[label], f"{row[label]:.3f}")
            for name, label, row in zip(self.names, self.labels, self.probabilities, strict=True)
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        ]
        return "\n".join(f"{line} |" for line in lines)

    def to_json(self) -> str:
        """The same, with every class's probability."""
        queries = [
            {
                "image": name,
                "class": self.support.classes[label],
                "probability": float(row[label]),
                "probabilities": dict(zip(self.support.classes, map(float, row), strict=True)),
            }
            for name, label, row in zip(self.names, self.labels, self.probabilities, strict=True)
        ]
        return json.dumps({"classes": self.support.classes, "queries": queries}, indent=2)


def find_model(path: str | None) -> Path:
    """Return the SavedModel that --model names, itself or as the run that exported it.

    Raises:
        UsageError: there is none.
    """
    if path is None:
        raise UsageError("--predict needs --model: a SavedModel, or the folder of a trained run")
    for folder in (Path(path), Path(path, "saved_model")):
        if (folder / "saved_model.pb").is_file():
            return folder
    if Path(path, "config.json").is_file():
        raise UsageError(
            f"--model={path} is a run without a SavedModel: train it to its end, or evaluate it "
            f"with --notrain --export_dir={path}/saved_model"
        )
    raise UsageError(f"--model={path} is neither a SavedModel nor the folder of a trained run")


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


def predict(
    model: Path,
    support: Examples,
    names: list[str],
    x: np.ndarray,
    truth: np.ndarray | None = None,
) -> Predictions:
    """Adapt a SavedModel to the support images and classify the others.

    More than `QUERIES_AT_ONCE` are classified in parts of equal size.

    Raises:
        UsageError: the model is not for so many classes, or not for images of this shape.
    """
    signature = tf.saved_model.load(str(model)).signatures["serving_default"]
    inputs = signature.structured_input_signature[1]
    way = inputs["support_y"].shape[-1]
    if len(support.classes) != way:
        raise UsageError(
            f"--model={model} tells {way} classes apart, the support set has "
            f"{len(support.classes)}: {', '.join(support.classes)}"
        )
    if tuple(inputs["support_x"].shape[2:]) != x.shape[1:]:
        raise UsageError(
            f"--model={model} takes images of {inputs['support_x'].shape[2:]}, got {x.shape[1:]}"
        )
    answers = [
        signature(
            support_x=tf.constant(support.x[np.newaxis]),
            support_y=tf.one_hot(support.labels[np.newaxis], way),
            query_x=tf.constant(part[np.newaxis]),
        )["predictions"].numpy()[0]
        for part in np.array_split(x, -(-len(x) // QUERIES_AT_ONCE))
    ]
    return Predictions(support, names, x, np.concatenate(answers), truth)


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
