"""How images become inputs of an exported model, kept in a file beside it."""

import json
from dataclasses import asdict
from pathlib import Path

from data_generators import ImageInput
from maml_tnet.checksums import CHECKSUMS
from maml_tnet.replacing import EXTRA_FILES
from system.errors import FileError
from system.json_file import read_object
from utils.errors import UsageError
from utils.prediction.loading import input_shape, verify_model

FILE = "input.json"
_FIELDS = {"size": int, "grey": bool, "ink_is_one": bool}


def input_file(image_input: ImageInput) -> dict[str, str]:
    """The `extra_files` of an export."""
    return {FILE: json.dumps(asdict(image_input), indent=2) + "\n"}


def input_of(model: Path) -> ImageInput:
    """Read what an export wrote beside a model.

    Raises:
        UsageError: nothing is there, or not what an export writes, or not what the model takes.
    """
    file = model / EXTRA_FILES / FILE
    verified = verify_model(model)
    try:
        values = read_object(file)
    except FileError as error:
        raise _no_classifier(model, str(error)) from error
    if verified is not None and f"{EXTRA_FILES}/{FILE}" not in verified:
        raise _no_classifier(model, f"{file} has no checksum in {CHECKSUMS}")
    if {name: type(value) for name, value in values.items()} != _FIELDS:
        raise _no_classifier(model, f"{file} must have size, a number, grey and ink_is_one")
    image_input = ImageInput(**values)
    expected = [image_input.size, image_input.size, 1 if image_input.grey else 3]
    takes = input_shape(model)
    if takes != expected:
        raise _no_classifier(model, f"{file} says {expected}, the model takes {takes}")
    return image_input


def _no_classifier(model: Path, reason: str) -> UsageError:
    return UsageError(
        f"--model={model} is not a classifier of images exported by this program: {reason}"
    )
