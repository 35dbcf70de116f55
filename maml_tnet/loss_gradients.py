"""Gradients of a loss some of whose weights it does not depend on."""

import warnings
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

INSTEAD = (
    "take an operation that has one in place of tf.round, tf.argmax, tf.numpy_function and the like"
)
NAN = (
    "the gradient is nan, though the loss is a number: the loss or a layer has no finite first or "
    "second derivative, as keras.losses.Circle has none where a class has one example: compute it "
    "otherwise, or take first_order=True"
)
MOST_NAMED = 4  # weights in one line


def with_zeros(gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
    """The gradients, zeros where the loss does not depend on a variable.

    Args:
        gradients: of `tf.GradientTape.gradient`, with None where there is none.
        variables: of which they are.

    Raises:
        ValueError: the loss depends on no variable.
    """
    if all(gradient is None for gradient in gradients):
        raise ValueError(f"the loss has no derivative with respect to any weight: {INSTEAD}")
    return [
        tf.zeros(variable.shape, variable.dtype) if gradient is None else gradient
        for gradient, variable in zip(gradients, variables, strict=True)
    ]


def warn_of_unlearned(gradients: Sequence[Any], variables: Sequence[Any]) -> None:
    """Warn, as Keras does, of variables that the loss does not depend on; see `with_zeros`.

    What lies between, such as `tf.round` or `tf.argmax`, has no derivative, and learning goes on
    without the layers before it.
    """
    pairs = zip(gradients, variables, strict=True)
    unlearned = [variable.path for gradient, variable in pairs if gradient is None]
    if unlearned:
        warnings.warn(
            "the loss has no derivative with respect to "
            + ", ".join(unlearned[:MOST_NAMED])
            + (f" and {len(unlearned) - MOST_NAMED} others" if len(unlearned) > MOST_NAMED else "")
            + f", which learn nothing: {INSTEAD}, or freeze them",
            stacklevel=2,
        )


def refuse_nan(gradients: Sequence[tf.Tensor], losses: tf.Tensor) -> list[tf.Tensor]:
    """The same gradients, if none is nan; XLA leaves the check out.

    Where the losses are no numbers themselves, they say so, and nothing is checked.

    Raises:
        tf.errors.InvalidArgumentError: one is nan.
    """
    found = tf.reduce_any([tf.reduce_any(tf.math.is_nan(g)) for g in gradients])
    diverged = tf.reduce_any(~tf.math.is_finite(losses))
    with tf.control_dependencies([tf.debugging.Assert(~found | diverged, [NAN])]):
        return [tf.identity(gradient) for gradient in gradients]
