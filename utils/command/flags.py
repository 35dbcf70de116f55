"""The program's flags, and the configuration that they become.

A flag whose default is None takes its value from the recipe of the data source.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from absl import flags

from maml_tnet.conv_net import NORMS
from utils.command.configuration import ALL_CLASSES, DATA_SOURCES, META_OPTIMIZERS, Config, in_words
from utils.command.flag_errors import explained
from utils.command.flag_files import with_flag_files
from utils.command.library_flags import check_no_library_flag
from utils.command.paths import (
    OptionalPathParser,
    check_current_folder,
    define_path,
    define_paths,
    expanded,
)
from utils.command.ranges import RANGES, check_range
from utils.command.recipes import DEFAULT_NUM_CLASSES, SAME_AS_SHOT, recipe
from utils.errors import UsageError

LATEST = -1
SAME_AS_EVALUATED = -1
# Paths of which one is read, and people give several, as of --query.
READ_ONE = ("data_path", "run", "model", "support")
RETIRED = {
    "conv": "images always take the convolutional network",
    "debug": "give --metatrain_iterations a small number instead",
    "recompute": "a meta-batch is computed in parts, which needs less memory than it saved",
}


def define(flag_values: flags.FlagValues = flags.FLAGS) -> flags.FlagValues:
    """Define every flag of the program on `flag_values`, and return it."""
    kinds: dict[str, Callable[..., Any]] = {
        "string": flags.DEFINE_string,
        "integer": flags.DEFINE_integer,
        "float": flags.DEFINE_float,
        "bool": flags.DEFINE_bool,
        "enum": flags.DEFINE_enum,
        "path": define_path,
        "paths": define_paths,
    }
    on_these = {name: partial(kind, flag_values=flag_values) for name, kind in kinds.items()}
    define = SimpleNamespace(**on_these)
    _define_task_flags(define)
    _define_training_flags(define)
    _define_model_flags(define)
    _define_run_flags(define)
    _define_prediction_flags(define)
    return flag_values


def _define_task_flags(define: SimpleNamespace) -> None:
    define.string("datasource", "sinusoid", in_words(DATA_SOURCES))
    define.integer("num_classes", DEFAULT_NUM_CLASSES, "way N of classification tasks")
    define.integer("num_train_classes", ALL_CLASSES, "number of classes to train on (-1: all)")
    define.integer("poly_order", 1, "order of the polynomials")
    define.integer("image_size", 84, "images: height and width to resize to, pixels")
    define.bool("grey", False, "images: one channel, not colours")
    define.integer(
        "split_seed", 0, "images: which classes are for train, val and test, unless folders say so"
    )
    define.string(
        "baseline", None, "oracle (sinusoid only: the task's parameters are inputs) or None"
    )
    define.path("data_path", None, "folder of the images or of their archives")
    define.path("cache_dir", None, "for data; default: $XDG_CACHE_HOME or ~/.cache, + /maml_tnet")


def _define_training_flags(define: SimpleNamespace) -> None:
    define.string(
        "recipe",
        "paper",
        "paper, or best (omniglot): what flags marked (recipe) are when not given",
    )
    define.integer(
        "pretrain_iterations", 0, "first iterations that minimize the loss before adaptation"
    )
    define.integer("metatrain_iterations", None, "meta-iterations (recipe)")
    define.integer("meta_batch_size", None, "tasks per meta-iteration (recipe)")
    define.float("meta_lr", 1e-3, "step size beta of the meta-optimizer")
    define.integer("cooldown", None, "last meta-iterations, over which meta_lr falls to 0 (recipe)")
    define.string("meta_optimizer", "adam", in_words(META_OPTIMIZERS))
    define.float("meta_grad_clip", None, "bound on meta-gradient components, 0: none (recipe)")
    define.integer("update_batch_size", None, "K: support examples per class or points (recipe)")
    define.integer("query_batch_size", None, "query examples per class or points (recipe)")
    define.float("update_lr", None, "step size alpha of inner steps (recipe)")
    define.integer("num_updates", None, "inner steps in training (recipe)")
    define.bool("stop_grad", False, "first order: no second derivatives")
    define.integer("seed", 0, "of weights, tasks and masks")


def _define_model_flags(define: SimpleNamespace) -> None:
    define.bool("use_T", False, "T-net: give every layer a transform T")
    define.bool("use_M", False, "mask which weights inner steps change")
    define.bool("share_M", True, "one mask logit per unit, not per weight")
    define.float("temp", 1.0, "temperature of the masks' Gumbel-softmax")
    define.float("logit_init", 0.0, "initial mask logit")
    define.bool("meta_sgd", False, "learn a step size per weight")
    define.string(
        "queries",
        "together",
        "together (the paper's), or alone: for single pictures and any number of classes",
    )
    define.string("norm", None, f"{in_words(NORMS)} (recipe)")
    define.integer("dim_hidden", None, "units of hidden dense layers (recipe)")
    define.integer("num_filters", None, "filters of convolutions (recipe)")
    define.bool("max_pool", None, "max pooling, not strided convolutions (recipe)")


def _define_run_flags(define: SimpleNamespace) -> None:
    define.bool("train", True, "train; --notrain evaluates a trained run")
    define.path("run", None, "--notrain: folder of the run to evaluate, which knows its flags")
    define.bool("resume", True, "go on from the last checkpoint")
    define.bool("log", True, "write TensorBoard and CSV logs")
    define.path("logdir", "logs", "folder of the runs' folders")
    define.integer("test_iter", LATEST, "iteration to evaluate (-1: latest)", lower_bound=LATEST)
    define.bool("test_best", False, "evaluate the checkpoint with the best validation result")
    define.bool("test_set", False, "evaluate on the test split, not on validation")
    define.integer("num_test_tasks", None, "default: 600, miniimagenet 4000")
    define.integer(
        "test_num_updates",
        None,
        "inner steps to evaluate (default: 10, or training's if more) and to export (training's)",
    )
    define.enum("mask", "sample", ["sample", "mode"], "how evaluation gets M")
    define.integer(
        "train_update_batch_size",
        SAME_AS_EVALUATED,
        "--notrain: the update_batch_size of training (-1: same)",
    )
    define.float(
        "train_update_lr", SAME_AS_EVALUATED, "--notrain: the update_lr of training (-1: same)"
    )
    define.path("export_dir", None, "write a SavedModel there")
    define.enum(
        "distribute",
        None,
        ["mirrored", "multiworker"],
        "share tasks out over this machine's devices, or over the machines that TF_CONFIG names",
    )
    define.float(
        "peer_timeout",
        60.0,
        "--distribute=multiworker: seconds within which all workers must have met",
    )


def _define_prediction_flags(define: SimpleNamespace) -> None:
    define.bool("predict", False, "classify images with a trained model")
    define.path("model", None, "--predict: a SavedModel, or the folder of a run")
    define.path(
        "support",
        None,
        "--predict: class folders to learn from (default: a task of --datasource's test split)",
    )
    define.paths("query", "--predict: an image, or folder of images, to classify; may be repeated")
    define.path(
        "save_adapted",
        None,
        "--predict: write a SavedModel that has learned the classes of --support",
    )
    define.bool("json", False, "--predict: print JSON instead of a table")
    define.path(
        "picture",
        "prediction.png",
        "--predict: contact sheet to write; empty: none",
        parser=OptionalPathParser(),
    )


def parse(argv: Sequence[str], flag_values: flags.FlagValues = flags.FLAGS) -> list[str]:
    """Parse the command line; a `flags_parser` for `absl.app.run`.

    Args:
        argv: the program's name and its flags.
        flag_values: what `define` returned.

    Returns:
        the program's name alone.

    Raises:
        UsageError: an unknown or retired flag or one of absl's, a value that cannot be read, a
            stray argument, a --flagfile that is none, two values of one of `READ_ONE`; or the
            current folder is gone.
    """
    check_current_folder()
    _check_named_once(argv[1:])
    argv = [*argv[:1], *with_flag_files(argv[1:])]
    for argument in argv[1:]:
        name = argument.lstrip("-").partition("=")[0]
        for retired, reason in RETIRED.items():
            if argument.startswith("-") and name in (retired, f"no{retired}"):
                raise UsageError(f"--{retired} is retired: {reason}")
    check_no_library_flag(argv[1:], flag_values)
    try:
        program, *rest = flag_values(argv)
    except (flags.Error, ValueError) as error:  # ValueError: of --nouse_T=1, and the like
        raise UsageError(explained(error, flag_values)) from error
    if rest:
        raise UsageError(f"unexpected argument {rest[0]!r}: flags are written --name=value")
    return [program]


def _check_named_once(arguments: Sequence[str]) -> None:
    """Raise a UsageError where one command line names two of what only one is read of.

    The last one would be taken without a word. What a file of flags says may be said anew.
    """
    given: dict[str, str] = {}
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        name = name.lstrip("-")
        if name not in READ_ONE or not argument.startswith("-"):
            continue
        value = value if equals else "".join(arguments[place + 1 : place + 2])
        if (earlier := given.setdefault(name, value)) != value:
            raise UsageError(
                f"--{name} is given more than once, {earlier} and {value}: only one is read"
            )


def config_from_flags(flag_values: flags.FlagValues = flags.FLAGS) -> Config:
    """Return the configuration of the run to train, or that which names the one to evaluate.

    A flag given wins, then the recipe of the data source, then the flag's general default.

    Raises:
        UsageError: a value that `Config` refuses, or a flag of an evaluation while training.
    """
    values: dict[str, Any] = {name: flag_values[name].value for name in Config.__dataclass_fields__}
    values.update(_effective(flag_values))
    for name, trained in trained_with(flag_values).items():
        if flag_values.train:
            raise UsageError(
                f"--train_{name} is for evaluation: give --{name} to train, or add --notrain"
            )
        values[name] = trained
    if flag_values.run is not None and flag_values.train:
        raise UsageError(f"--run={flag_values.run} is for evaluation: add --notrain")
    if values["query_batch_size"] is SAME_AS_SHOT:
        values["query_batch_size"] = values["update_batch_size"]
    return Config(**with_none(values))


def without_effect(config: Config, flag_values: flags.FlagValues = flags.FLAGS) -> list[str]:
    """The flags that are given but have no part in what is done with this configuration.

    Args:
        config: of the run to train or to evaluate.
        flag_values: that were parsed.

    Returns:
        such as ["--temp"].
    """
    ignored = config.ignored_fields()
    if not flag_values.train:
        ignored |= {"resume", "log"}
    if not config.is_classification:
        ignored |= {"data_path", "cache_dir"}
    if not config.use_M:
        ignored |= {"mask"}
    return [f"--{name}" for name in sorted(ignored) if flag_values[name].present]


def check_purpose(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Raise a UsageError for a flag that what is asked for would pass over."""
    for_other: dict[str, str] = {}
    if not flag_values.predict:
        of_prediction = ("model", "support", "query", "save_adapted", "json", "picture")
        for_other |= dict.fromkeys(of_prediction, "--predict")
        if flag_values.train:
            for_other |= dict.fromkeys(("test_iter", "test_best"), "--notrain")
    if flag_values.predict:
        for_other["distribute"] = "--train"
    check_range("peer_timeout", flag_values.peer_timeout)
    if flag_values.distribute != "multiworker":
        for_other["peer_timeout"] = "--distribute=multiworker"
    for name, needed in for_other.items():
        if flag_values[name].value != flag_values[name].default:
            raise UsageError(f"--{name} is for {needed}: add it, or leave --{name} out")


def cache_folder(flag_values: flags.FlagValues = flags.FLAGS) -> Path:
    """Return the folder in which data is kept between runs.

    Raises:
        UsageError: there is no home folder to have it in.
    """
    if flag_values.cache_dir is not None:
        return Path(flag_values.cache_dir)
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification: a relative path counts as unset.
    if os.path.isabs(base):
        return Path(base, "maml_tnet")
    try:
        return Path(expanded("~/.cache"), "maml_tnet")
    except ValueError as error:
        raise UsageError(f"--cache_dir must be given: {error}") from error


def _effective(flag_values: flags.FlagValues) -> dict[str, Any]:
    """Return the recipe's values, each replaced by its flag if that was given."""
    values = recipe(flag_values.datasource, flag_values.num_classes, flag_values.recipe)
    given = {name: flag_values[name].value for name in values}
    return values | {name: value for name, value in given.items() if value is not None}


def with_none(values: dict[str, Any]) -> dict[str, Any]:
    """The same, with None where a flag has the word."""
    return {
        name: None if name in ("baseline", "norm") and value == "None" else value
        for name, value in values.items()
    }


def trained_with(flag_values: flags.FlagValues) -> dict[str, Any]:
    """Return what --train_update_batch_size and --train_update_lr say, if given."""
    stated = {
        "update_batch_size": flag_values.train_update_batch_size,
        "update_lr": flag_values.train_update_lr,
    }
    given = {name: value for name, value in stated.items() if value != SAME_AS_EVALUATED}
    for name, value in given.items():
        check_range(f"train_{name}", value, RANGES[name])
    return given
