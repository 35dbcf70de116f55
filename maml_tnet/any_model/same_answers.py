"""Whether a copy of a Keras model answers as the model does.

Keras copies a model by what its layers say of themselves in `get_config`, and a model inside it by
its layers alone: what is left out there is lost without a word.
"""

import inspect
import numbers
import warnings
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from maml_tnet.any_model.exact_normalization import (
    ExactBatchNormalization,
    ExactSpectralNormalization,
    stored_statistics,
)
from maml_tnet.compat import sublayers

TOLERANCE = 0.02  # of the largest answer: roundings grow in deep models
HALF = ("bfloat16", "float16")
MISSING = object()


def check_same_answers(model: keras.Model, copy: keras.Model) -> None:
    """Compare the answers to one batch; no variable is changed.

    Nothing is to be compared where inputs have axes of no known size, the model refuses inputs
    that are made up, answers are random or rounded to 16 bits, or a spectral normalization, which
    divides by what Keras has divided by before, is another's. What acts in training alone, or on
    other inputs than these (floats below 1, whole numbers 0 and 1), it does not see:
    `warn_of_other_arguments` looks for that.

    Args:
        model: functional.
        copy: of `copying.exact_copy`.

    Raises:
        ValueError: they differ.
    """
    inputs = _example(model.inputs[0] if isinstance(model, keras.Sequential) else model.input)
    inner = [*sublayers(model), *sublayers(copy)]  # the model may be one that was copied before
    if inputs is None or any(
        isinstance(layer, ExactSpectralNormalization) or layer.compute_dtype in HALF
        for layer in inner
    ):
        return
    norms = [
        layer for layer in inner if isinstance(layer, ExactBatchNormalization) and layer.by_task
    ]
    with keras.StatelessScope(), stored_statistics(norms):
        try:
            expected = _answers(model, inputs)
        except (tf.errors.OpError, ValueError):  # a word outside of a vocabulary, and the like
            return
        again, found = (_answers(each, inputs) for each in (model, copy))
    if _same(expected, again) and not _same(expected, found):
        raise ValueError(
            f"the copy of {model.name!r} that would be meta-learned answers otherwise than the "
            "model: the get_config of a layer leaves something out, or a model inside it has a "
            "call of its own"
        )


def warn_of_other_arguments(model: keras.Model, copy: keras.Model) -> None:
    """Warn of layers of one's own that were copied with other arguments than they were made with.

    Layers keep an argument under its own name, or one with an underscore before it, where they keep
    it as it is; of what they keep otherwise, and of objects, nothing is known.

    Args:
        model: functional.
        copy: of `copying.exact_copy`.
    """
    for layer, other in zip(sublayers(model), sublayers(copy), strict=False):
        if layer is other or type(layer) is not type(other):
            continue
        for name in _own_arguments(type(layer)):
            kept, copied = (vars(each).get(name, MISSING) for each in (layer, other))
            if _is_plain(kept) and _is_plain(copied) and not _same_value(kept, copied):
                warnings.warn(
                    f"the layer {layer.name!r} ({type(layer).__name__}) has {name} = "
                    f"{kept!r:.100}, and its copy that would be meta-learned {copied!r:.100}: its "
                    "get_config leaves that argument out, or gives another",
                    stacklevel=2,
                )


def _own_arguments(kind: type) -> list[str]:
    """Names under which layers of a class keep the arguments of their constructors."""
    own = [each for each in kind.__mro__ if not each.__module__.startswith("keras.")]
    names = {
        name: None
        for each in own
        if "__init__" in vars(each)
        for name in inspect.signature(vars(each)["__init__"]).parameters
    }
    return [f"{mark}{name}" for name in names if name not in ("self", "name") for mark in ("", "_")]


def _is_plain(value: Any) -> bool:
    """Whether a value is numbers or texts, nested or not, which can be compared."""
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    if isinstance(value, tf.Tensor):
        return not tf.is_symbolic_tensor(value)
    return value is None or isinstance(value, numbers.Number | str | np.ndarray | np.generic)


def _same_value(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same_value(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same_value, one, other))
    a, b = np.asarray(one), np.asarray(other)
    if a.shape != b.shape:
        return False
    if a.dtype.kind in "biufc" and b.dtype.kind in "biufc":
        return np.allclose(a, b, rtol=1e-6, atol=0, equal_nan=True)  # one may be of 32 bits
    return bool(np.all(a == b))


def _answers(model: keras.Model, inputs: Any) -> list[np.ndarray]:
    answers = tf.nest.flatten(model(inputs, training=False))
    return [tf.cast(answer, tf.float64).numpy() for answer in answers]


def _same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(
        np.allclose(a, b, rtol=0, atol=TOLERANCE * np.max(np.abs(a), initial=0.0), equal_nan=True)
        for a, b in zip(one, other, strict=True)
    )


def _example(inputs: Any) -> Any:
    """Inputs of two examples; None if a size is not known."""
    parts = tf.nest.flatten(inputs)
    if any(None in part.shape[1:] or getattr(part, "sparse", False) for part in parts):
        return None
    rng = np.random.default_rng(0)

    def example(part: Any) -> tf.Tensor:
        shape, dtype = [part.shape[0] or 2, *part.shape[1:]], tf.as_dtype(part.dtype)
        if dtype.is_floating:  # below 1, as some are places in a table
            return tf.cast(rng.random(shape), dtype)
        if dtype == tf.string:
            return tf.fill(shape, "")
        # Not one number throughout, which would leave a normalization nothing but roundings.
        return tf.cast(rng.integers(2, size=shape), dtype)

    return tf.nest.map_structure(example, inputs)
