"""What constructors and methods are given, checked where it is given."""

import inspect
import math
import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

LEAST_INT32, LARGEST_INT32 = -(2**31), 2**31 - 1
LARGEST_FLOAT32 = 3.4e38


def whole_number(name: str, value: Any, least: int, most: int = LARGEST_INT32) -> int:
    """Check a number of things.

    Args:
        name: of the argument.
        value: given.
        least: that it may be.
        most: that it may be; the computation's whole numbers are int32.

    Raises:
        ValueError: it is no whole number, or out of range.
    """
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_whole or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    if value > most:
        raise ValueError(f"{name} must be at most {most}, got {value!r}")
    return int(value)


def finite_number(
    name: str, value: Any, *, least: float = -math.inf, above: float = -math.inf
) -> float:
    """Check a number.

    Args:
        name: of the argument.
        value: given.
        least: that it may be.
        above: which it must be.

    Raises:
        ValueError: it is no finite number, or out of range.
    """
    bound = ""
    if least > -math.inf:
        bound = f" of at least {least:g}"
    elif above > -math.inf:
        bound = f" above {above:g}"
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    # Larger ones are infinite as float32.
    if not is_number or not -LARGEST_FLOAT32 <= value <= LARGEST_FLOAT32:
        raise ValueError(f"{name} must be a finite number{bound}, got {value!r:.40}")
    if value < least or value <= above:
        raise ValueError(f"{name} must be a finite number{bound}, got {value!r}")
    return float(value)


def true_or_false(name: str, value: Any) -> bool:
    """Check a choice: of a text, such as "no", Python would take any for true.

    Args:
        name: of the argument.
        value: given.

    Raises:
        ValueError: it is neither True nor False.
    """
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False, got {value!r:.40}")
    return bool(value)


def check_function(name: str, function: Any, of: str) -> None:
    """Check a function of one argument.

    Args:
        name: of the argument that it is.
        function: given.
        of: what it will be called with.

    Raises:
        ValueError: it is no function, or takes no argument or needs more.
    """
    if not callable(function):
        raise ValueError(f"{name} must be a function of {of}, got a {type(function).__name__}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some that are not written in Python do not say
        return
    try:
        signature.bind(None)
    except TypeError as error:
        raise ValueError(f"{name} must be a function of {of} alone: {error}") from error


def check_dataset(dataset: Any, steps: Any, what: str, argument: str) -> None:
    """Refuse no dataset, an empty one, and one without an end where nothing says how much is meant.

    Args:
        dataset: given; what is neither a `tf.data.Dataset` nor a `keras.utils.PyDataset` is passed
            over, but for None and what is empty, such as [].
        steps: how much of it is taken; None for all.
        what: what the dataset is for, such as "fit".
        argument: by which `steps` is given.

    Raises:
        ValueError: there is none, it is empty, or it never ends.
    """
    if dataset is None:
        raise ValueError(f"{what} takes a dataset, got None")
    if isinstance(dataset, tf.data.Dataset):
        size = int(dataset.cardinality())
    elif isinstance(dataset, keras.utils.Sequence):
        # Keras 2 has no such number, and no sequences without an end.
        size = getattr(dataset, "num_batches", 1)
        size = tf.data.INFINITE_CARDINALITY if size is None else size
    else:
        size = len(dataset) if isinstance(dataset, list | tuple | dict) else 1
    if size == 0:
        raise ValueError(f"{what} takes a dataset with something in it, got an empty one")
    if size == tf.data.INFINITE_CARDINALITY and steps is None:
        raise ValueError(
            f"{what} would never end on an endless dataset: give {argument}, or take some of it by "
            "dataset.take(number)"
        )


def check_nothing_beside(options: Mapping[str, Any], what: str) -> None:
    """Refuse targets and sample weights beside a dataset, which Keras would drop without a word.

    Args:
        options: that a method of Keras is given by name.
        what: its dataset is for.

    Raises:
        ValueError: there are such.
    """
    for name in ("y", "sample_weight"):
        if options.get(name) is not None:
            raise ValueError(f"{what} takes a dataset alone, in whose episodes all is, got {name}")


def check_training_data(dataset: Any, options: Mapping[str, Any], what: str) -> None:
    """`check_dataset` of what `fit` is given.

    Args:
        dataset: to train on.
        options: that `fit` is given by name, `validation_data` and numbers of steps among them.
        what: `dataset` is for.

    Raises:
        ValueError: see `check_dataset` and `check_nothing_beside`; or there are weights of classes.
    """
    if options.get("class_weight") is not None:
        raise ValueError(
            "class_weight is of one task's classes, and fit learns many tasks: leave it out "
            "(episodes for a Keras model may have support_weight and query_weight)"
        )
    check_nothing_beside(options, what)
    check_dataset(dataset, options.get("steps_per_epoch"), what, "steps_per_epoch")
    if (validation := options.get("validation_data")) is not None:
        steps = options.get("validation_steps")
        check_dataset(validation, steps, "validation", "validation_steps")
