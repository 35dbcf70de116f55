"""The program's flags, and the records that they become.

A flag whose default is None takes its value from the recipe of the data source.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from utils.command.configuration import ALL_CLASSES, Config
from utils.command.evaluation_settings import EvaluationSettings
from utils.command.recipes import DEFAULT_NUM_CLASSES, SAME_AS_SHOT, recipe
from utils.errors import UsageError

LATEST = -1


SAME_AS_EVALUATED = -1


EVALUATED_STEPS = 10


NUM_TEST_TASKS = {"miniimagenet": 4000}


DEFAULT_NUM_TEST_TASKS = 600


# Evaluated with K queries per class, as in the original code, whatever training had.
QUERIED_LIKE_SHOT = ("miniimagenet",)


RETIRED = {
    "conv": "images always take the convolutional network",
    "debug": "give --metatrain_iterations a small number instead",
}


def define(flag_values: flags.FlagValues = flags.FLAGS) -> flags.FlagValues:
    """Define every flag of the program on `flag_values`, and return it."""
    _define_task_flags(flag_values)
    _define_training_flags(flag_values)
    _define_model_flags(flag_values)
    _define_run_flags(flag_values)
    _define_prediction_flags(flag_values)
    return flag_values


def _define_task_flags(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "datasource",
        "sinusoid",
        "sinusoid, polynomial, omniglot, miniimagenet or images",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "num_classes", DEFAULT_NUM_CLASSES, "way N of classification tasks", flag_values=flag_values
    )
    flags.DEFINE_integer(
        "num_train_classes",
        ALL_CLASSES,
        "number of classes to train on (-1: all)",
        flag_values=flag_values,
    )
    flags.DEFINE_integer("poly_order", 1, "order of the polynomials", flag_values=flag_values)
    flags.DEFINE_integer(
        "image_size", 84, "images: height and width to resize to, pixels", flag_values=flag_values
    )
    flags.DEFINE_bool("grey", False, "images: one channel, not colours", flag_values=flag_values)
    flags.DEFINE_integer(
        "split_seed",
        0,
        "images: which classes are for train, val and test, unless folders say so",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "baseline",
        None,
        "oracle (sinusoid only: the task's parameters are inputs) or None",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "data_path", None, "folder of the images or of their archives", flag_values=flag_values
    )
    flags.DEFINE_string(
        "cache_dir",
        None,
        "for data; default: $XDG_CACHE_HOME or ~/.cache, + /maml_tnet",
        flag_values=flag_values,
    )


def _define_training_flags(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "recipe",
        "paper",
        "paper, or best (omniglot): what flags marked (recipe) are when not given",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "pretrain_iterations",
        0,
        "first iterations that minimize the loss before adaptation",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "metatrain_iterations", None, "meta-iterations (recipe)", flag_values=flag_values
    )
    flags.DEFINE_integer(
        "meta_batch_size", None, "tasks per meta-iteration (recipe)", flag_values=flag_values
    )
    flags.DEFINE_float(
        "meta_lr", 1e-3, "step size beta of the meta-optimizer", flag_values=flag_values
    )
    flags.DEFINE_integer(
        "cooldown",
        None,
        "last meta-iterations, over which meta_lr falls to 0 (recipe)",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "meta_optimizer",
        "adam",
        "adam, rectified_adam, lookahead or moving_average",
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "meta_grad_clip",
        None,
        "bound on meta-gradient components, 0: none (recipe)",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "update_batch_size",
        None,
        "K: support examples per class or points (recipe)",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "query_batch_size",
        None,
        "query examples per class or points (recipe)",
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "update_lr", None, "step size alpha of inner steps (recipe)", flag_values=flag_values
    )
    flags.DEFINE_integer(
        "num_updates", None, "inner steps in training (recipe)", flag_values=flag_values
    )
    flags.DEFINE_bool(
        "stop_grad", False, "first order: no second derivatives", flag_values=flag_values
    )
    flags.DEFINE_integer("seed", 0, "of weights, tasks and masks", flag_values=flag_values)


def _define_model_flags(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_bool(
        "use_T", False, "T-net: give every layer a transform T", flag_values=flag_values
    )
    flags.DEFINE_bool(
        "use_M", False, "mask which weights inner steps change", flag_values=flag_values
    )
    flags.DEFINE_bool(
        "share_M", True, "one mask logit per unit, not per weight", flag_values=flag_values
    )
    flags.DEFINE_float(
        "temp", 1.0, "temperature of the masks' Gumbel-softmax", flag_values=flag_values
    )
    flags.DEFINE_float("logit_init", 0.0, "initial mask logit", flag_values=flag_values)
    flags.DEFINE_bool("meta_sgd", False, "learn a step size per weight", flag_values=flag_values)
    flags.DEFINE_string(
        "norm", None, "batch_norm, layer_norm or None (recipe)", flag_values=flag_values
    )
    flags.DEFINE_integer(
        "dim_hidden", None, "units of hidden dense layers (recipe)", flag_values=flag_values
    )
    flags.DEFINE_integer(
        "num_filters", None, "filters of convolutions (recipe)", flag_values=flag_values
    )
    flags.DEFINE_bool(
        "max_pool", None, "max pooling, not strided convolutions (recipe)", flag_values=flag_values
    )


def _define_run_flags(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_bool(
        "train", True, "train; --notrain evaluates a trained run", flag_values=flag_values
    )
    flags.DEFINE_bool("resume", True, "go on from the last checkpoint", flag_values=flag_values)
    flags.DEFINE_bool(
        "recompute",
        False,
        "compute inner steps again in the backward pass: less memory, more time",
        flag_values=flag_values,
    )
    flags.DEFINE_bool("log", True, "write TensorBoard and CSV logs", flag_values=flag_values)
    flags.DEFINE_string("logdir", "logs", "folder of the runs' folders", flag_values=flag_values)
    flags.DEFINE_integer(
        "test_iter",
        LATEST,
        "iteration to evaluate (-1: latest)",
        lower_bound=LATEST,
        flag_values=flag_values,
    )
    flags.DEFINE_bool(
        "test_best",
        False,
        "evaluate the checkpoint with the best validation result",
        flag_values=flag_values,
    )
    flags.DEFINE_bool(
        "test_set", False, "evaluate on the test split, not on validation", flag_values=flag_values
    )
    flags.DEFINE_integer(
        "num_test_tasks", None, "default: 600, miniimagenet 4000", flag_values=flag_values
    )
    flags.DEFINE_enum(
        "mask", "sample", ["sample", "mode"], "how evaluation gets M", flag_values=flag_values
    )
    flags.DEFINE_integer(
        "train_update_batch_size",
        SAME_AS_EVALUATED,
        "--notrain: the update_batch_size of training (-1: same)",
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "train_update_lr",
        SAME_AS_EVALUATED,
        "--notrain: the update_lr of training (-1: same)",
        flag_values=flag_values,
    )
    flags.DEFINE_string("export_dir", None, "write a SavedModel there", flag_values=flag_values)


def _define_prediction_flags(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_bool(
        "predict", False, "classify images with a trained model", flag_values=flag_values
    )
    flags.DEFINE_string(
        "model", None, "--predict: a SavedModel, or the folder of a run", flag_values=flag_values
    )
    flags.DEFINE_string(
        "support",
        None,
        "--predict: class folders to learn from (default: a task of --datasource's test split)",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "query", None, "--predict: folder of images to classify", flag_values=flag_values
    )
    flags.DEFINE_bool(
        "json", False, "--predict: print JSON instead of a table", flag_values=flag_values
    )
    flags.DEFINE_string(
        "picture",
        "prediction.png",
        "--predict: contact sheet to write",
        flag_values=flag_values,
    )


def parse(argv: Sequence[str], flag_values: flags.FlagValues = flags.FLAGS) -> list[str]:
    """Parse the command line; a `flags_parser` for `absl.app.run`.

    Args:
        argv: the program's name and its flags.
        flag_values: what `define` returned.

    Returns:
        the program's name alone.

    Raises:
        UsageError: an unknown or retired flag, a value that cannot be read, a stray argument.
    """
    for argument in argv[1:]:
        name = argument.lstrip("-").partition("=")[0]
        for retired, reason in RETIRED.items():
            if argument.startswith("-") and name in (retired, f"no{retired}"):
                raise UsageError(f"--{retired} is retired: {reason}")
    try:
        program, *rest = flag_values(argv)
    except flags.Error as error:
        raise UsageError(" ".join(str(error).split())) from error
    if rest:
        raise UsageError(f"unexpected argument {rest[0]!r}: flags are written --name=value")
    return [program]


def config_from_flags(flag_values: flags.FlagValues = flags.FLAGS) -> Config:
    """Return the configuration of the run to train, or of the one to evaluate.

    A flag given wins, then the recipe of the data source, then the flag's general default.

    Raises:
        UsageError: a value that `Config` refuses, or a train_update flag while training.
    """
    values: dict[str, Any] = {name: flag_values[name].value for name in Config.__dataclass_fields__}
    values.update(_effective(flag_values))
    for name, trained in _trained_with(flag_values).items():
        if flag_values.train:
            raise UsageError(
                f"--train_{name} is for evaluation: give --{name} to train, or add --notrain"
            )
        values[name] = trained
    if values["query_batch_size"] is SAME_AS_SHOT:
        values["query_batch_size"] = values["update_batch_size"]
    for name in ("baseline", "norm"):
        if values[name] == "None":
            values[name] = None
    return Config(**values)


def evaluation_settings(flag_values: flags.FlagValues, config: Config) -> EvaluationSettings:
    """Return how to evaluate the run of `config`, which `config_from_flags` made.

    Raises:
        UsageError: a value out of range, or another step size for Meta-SGD, which learned its own.
    """
    values = _effective(flag_values)
    if config.meta_sgd and values["update_lr"] != config.update_lr:
        raise UsageError(
            "--update_lr cannot change in evaluation with --meta_sgd, which learned its step "
            f"sizes from {config.update_lr}: got {values['update_lr']}"
        )
    query = values["query_batch_size"]
    if config.datasource in QUERIED_LIKE_SHOT and flag_values.query_batch_size is None:
        query = SAME_AS_SHOT
    num_tasks = flag_values.num_test_tasks
    if num_tasks is None:
        num_tasks = NUM_TEST_TASKS.get(config.datasource, DEFAULT_NUM_TEST_TASKS)
    return EvaluationSettings(
        shot=values["update_batch_size"],
        query=values["update_batch_size"] if query is SAME_AS_SHOT else query,
        update_lr=values["update_lr"],
        num_steps=max(EVALUATED_STEPS, config.num_updates),
        mask=flag_values.mask,
        split="test" if flag_values.test_set else "val",
        num_tasks=num_tasks,
    )


def cache_folder(flag_values: flags.FlagValues = flags.FLAGS) -> Path:
    """Return the folder in which data is kept between runs."""
    if flag_values.cache_dir:
        return Path(flag_values.cache_dir).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path counts as unset.
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "maml_tnet"


def _effective(flag_values: flags.FlagValues) -> dict[str, Any]:
    """Return the recipe's values, each replaced by its flag if that was given."""
    values = recipe(flag_values.datasource, flag_values.num_classes, flag_values.recipe)
    given = {name: flag_values[name].value for name in values}
    return values | {name: value for name, value in given.items() if value is not None}


def _trained_with(flag_values: flags.FlagValues) -> dict[str, Any]:
    """Return what --train_update_batch_size and --train_update_lr say, if given."""
    stated = {
        "update_batch_size": flag_values.train_update_batch_size,
        "update_lr": flag_values.train_update_lr,
    }
    return {name: value for name, value in stated.items() if value != SAME_AS_EVALUATED}
