"""How images become inputs of an exported model, kept in a file beside it."""

import json
from dataclasses import asdict
from pathlib import Path

from data_generators import ImageInput
from maml_tnet.export import EXTRA_FILES
from utils.errors import UsageError

FILE = "input.json"


def input_file(image_input: ImageInput) -> dict[str, str]:
    """The `extra_files` of an export."""
    return {FILE: json.dumps(asdict(image_input), indent=2) + "\n"}


def input_of(model: Path) -> ImageInput:
    """Read what an export wrote beside a model.

    Raises:
        UsageError: nothing is there, or not what an export writes.
    """
    file = model / EXTRA_FILES / FILE
    try:
        return ImageInput(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"--model={model} is not a classifier of images exported by this program: "
            f"cannot read {file}: {error}"
        ) from error
