"""A model that has learned a user's classes: saved, and known again."""

import json
from pathlib import Path

import tensorflow as tf

from data_generators import ImageInput
from data_generators.errors import reason
from maml_tnet import ExportError
from maml_tnet.adapted import export_adapted
from maml_tnet.checksums import CHECKSUMS
from maml_tnet.replacing import EXTRA_FILES
from system.atomic_file import only_writer
from system.errors import FileError
from system.json_file import read_object
from utils.command.paths import export_folder
from utils.errors import UsageError
from utils.prediction.loading import load_model, verify_model
from utils.prediction.model_input import input_file
from utils.prediction.saved_model import check_way
from utils.prediction.tasks import SupportSet

FILE = "classes.json"


def learned_classes(model: Path) -> list[str] | None:
    """The names of the classes that a SavedModel has learned; None if it is yet to learn some.

    Raises:
        UsageError: it is damaged.
    """
    file = model / EXTRA_FILES / FILE
    if not file.exists():
        return None
    if (verified := verify_model(model)) is None or f"{EXTRA_FILES}/{FILE}" not in verified:
        raise UsageError(f"--model={model} is damaged: {file} has no checksum in {CHECKSUMS}")
    try:
        classes = read_object(file).get("classes")
    except FileError as error:
        raise UsageError(f"--model={model} is damaged: {error}") from error
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise UsageError(f"--model={model} is damaged: {file} does not list classes")
    return classes


def adapted_folder(path: str) -> Path:
    """The folder of --save_adapted.

    Raises:
        UsageError: something else is there than a model that has learned classes.
    """
    folder = export_folder(path, "save_adapted")
    if folder.exists() and learned_classes(folder) is None:
        raise UsageError(
            f"--save_adapted={path} is a model that has learned no classes: name a new folder"
        )
    return folder


def save_adapted(model: Path, support: SupportSet, image_input: ImageInput, folder: Path) -> None:
    """Learn a support set and write the model that has learned it: see `export_adapted`.

    Args:
        model: the SavedModel that learns.
        support: the user's classes.
        image_input: what the model takes.
        folder: of `adapted_folder`.

    Raises:
        UsageError: the model is damaged, or answers queries together, or is for another number of
            classes.
        ExportError: the folder cannot be written.
    """
    loaded = load_model(model)
    if "learn" not in loaded.signatures:
        raise UsageError(
            f"--save_adapted cannot save what --model={model} learns: it has the paper's form, "
            "whose queries are answered together (train with --queries=alone), or was exported by "
            "version 0.3.0 or before (export it again, by --notrain --run=FOLDER --export_dir=DIR)"
        )
    way = check_way(model, loaded, support.classes)
    names = json.dumps({"classes": support.classes}, indent=2)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with only_writer(folder):
            export_adapted(
                loaded,
                folder,
                support_x=tf.constant(support.x),
                support_y=tf.one_hot(support.labels, way),
                classes=support.classes,
                inputs_of=image_input.of_pixels,
                extra_files={**input_file(image_input), FILE: names + "\n"},
            )
    except OSError as error:
        raise ExportError(f"cannot write the SavedModel {folder}: {reason(error)}") from error
