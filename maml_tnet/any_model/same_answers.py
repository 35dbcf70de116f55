"""Whether a copy of a Keras model answers as the model does.

Keras copies a model by what its layers say of themselves in `get_config`, and a model inside it by
its layers alone: what is left out there is lost without a word.
"""

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


def check_same_answers(model: keras.Model, copy: keras.Model) -> None:
    """Compare the answers to one batch; no variable is changed.

    Nothing is to be compared where inputs have axes of no known size, the model refuses inputs
    that are made up, answers are random or rounded to 16 bits, or a spectral normalization, which
    divides by what Keras has divided by before, is another's.

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
        layer for layer in inner if isinstance(layer, ExactBatchNormalization) and layer.trainable
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
