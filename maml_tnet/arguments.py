"""What constructors and methods are given, checked where it is given: numbers and datasets."""

import math
import numbers
from typing import Any

import tensorflow as tf

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


def check_dataset(dataset: Any, steps: Any, what: str, argument: str) -> None:
    """Refuse no dataset, and one without an end where nothing says how much of it is meant.

    Args:
        dataset: given; what is neither None nor a `tf.data.Dataset` is passed over.
        steps: how much of it is taken; None for all.
        what: what the dataset is for, such as "fit".
        argument: by which `steps` is given.

    Raises:
        ValueError: there is none, or it never ends.
    """
    if dataset is None:
        raise ValueError(f"{what} takes a dataset, got None")
    endless = isinstance(dataset, tf.data.Dataset) and (
        int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY
    )
    if endless and steps is None:
        raise ValueError(
            f"{what} would never end on an endless dataset: give {argument}, or take some of it by "
            "dataset.take(number)"
        )
