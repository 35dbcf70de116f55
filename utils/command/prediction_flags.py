"""What the flags of a prediction must be, to go together and with the model."""

import os
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from utils.command.configuration import Config
from utils.command.paths import check_output_file
from utils.errors import UsageError

# What no prediction looks at; with --support or --query, nor at what says which task to take.
NOT_OF_PREDICTION = (
    *("run", "export_dir", "test_set", "test_iter", "test_best", "mask", "num_test_tasks"),
    *("test_num_updates", "train_update_batch_size", "train_update_lr"),
)
OF_A_TASK = (*Config.__dataclass_fields__, "recipe", "data_path", "cache_dir")


def check_prediction_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Raise a UsageError if the flags of a prediction do not belong together."""
    picture = flag_values.picture
    if picture and Path(picture).suffix.lower() not in (".png", ".pdf"):
        raise UsageError(f"--picture must end in .png or .pdf, or be empty, got {picture!r}")
    if flag_values.support is None and flag_values.save_adapted is not None:
        raise UsageError("--save_adapted needs --support, the classes to learn")
    for name in NOT_OF_PREDICTION:
        if flag_values[name].present:
            raise UsageError(f"--{name} has no part in --predict: leave it out")
    if flag_values.support is not None or flag_values.query is not None:
        for name in OF_A_TASK:
            if flag_values[name].present:
                raise UsageError(
                    f"--{name} has no part in --predict with --support or --query: leave it out"
                )
    only_learns = flag_values.support is not None and flag_values.query is None
    if picture and not only_learns:
        check_output_file(picture, "picture")
        if os.path.isfile(picture):
            _check_is_not_read(picture, [*(flag_values.query or []), flag_values.support or ""])
    nothing_to_do = flag_values.query is None and flag_values.save_adapted is None
    if flag_values.support is not None and nothing_to_do:
        raise UsageError("--support needs --query, the images to classify, or --save_adapted")
    for name in ("json", "picture"):
        if only_learns and flag_values[name].present and flag_values[name].value:
            raise UsageError(
                f"--{name} shows answers: give --query, the images to classify, or leave it out"
            )


def _check_is_not_read(picture: str, paths: Sequence[str]) -> None:
    """Raise a UsageError if the picture to write is one of those, or lies in one."""
    file = os.path.realpath(picture)
    for path in filter(None, paths):
        if f"{file}{os.sep}".startswith(os.path.join(os.path.realpath(path), "")):
            raise UsageError(
                f"--picture={picture} would replace one of the images in {path}: name another file"
            )


def check_learned_flags(
    classes: Sequence[str] | None, flag_values: flags.FlagValues = flags.FLAGS
) -> None:
    """Raise a UsageError if the flags of a prediction do not fit what the model has learned.

    Args:
        classes: that it has learned; None if it is yet to learn some.
        flag_values: of `check_prediction_flags`.
    """
    model = f"--model={flag_values.model}"
    if classes is None:
        if flag_values.support is None and flag_values.query is not None:
            raise UsageError(f"--query needs --support: {model} is yet to learn classes")
    elif flag_values.support is not None:
        raise UsageError(
            f"{model} has learned its classes, {', '.join(classes)}: leave --support out"
        )
    elif flag_values.query is None:
        raise UsageError(f"{model} has learned its classes: give --query, the images to classify")
