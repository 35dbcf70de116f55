"""Gradients of a loss that does not depend on some weights, or is no number, or has none."""

import math
import re
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
INFINITE = (
    "the gradient is infinite, though the loss is a number: the loss or a layer divides by what "
    "can be 0, or numbers overflow: compute it otherwise, or clip the gradient by meta_grad_clip"
)
NOT_FINITE = "the loss is not finite"
SMALLER = (
    "try a smaller update_lr or learning rate of the optimizer, and look for values in the "
    "episodes that are not finite"
)
# As TensorFlow says it of a graph, and eagerly: iteration and loss.
_DIVERGED = re.compile(NOT_FINITE + r"\W+?(\d+)\W+?(-?(?:nan|inf))\b")
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


def warn_of_not_finite(history: Any) -> None:
    """Warn of the first epoch whose mean loss is nan or infinite.

    Args:
        history: that `fit` returns.
    """
    for epoch, loss in zip(history.epoch, history.history.get("loss", []), strict=False):
        if not math.isfinite(loss):
            warnings.warn(
                f"the loss of epoch {epoch + 1} is {float(loss)}, and the weights may be no "
                f"numbers any more: train anew, and {SMALLER}",
                stacklevel=3,
            )
            return


def refuse_not_finite(
    gradients: Sequence[tf.Tensor], losses: tf.Tensor, iteration: Any
) -> list[tf.Tensor]:
    """The same gradients, if the loss and all of them are finite; XLA leaves this out.

    Args:
        gradients: of the mean of the losses, as the optimizer takes them: clipped.
        losses: of the tasks.
        iteration: its number.

    Raises:
        tf.errors.InvalidArgumentError: see `refusal_of`.
    """
    loss = tf.reduce_mean(losses)
    is_finite = tf.math.is_finite(loss)
    has_nan = tf.reduce_any([tf.reduce_any(tf.math.is_nan(g)) for g in gradients])
    has_infinite = tf.reduce_any([tf.reduce_any(tf.math.is_inf(g)) for g in gradients])
    checks = [
        tf.debugging.Assert(is_finite, [NOT_FINITE, iteration, loss]),
        tf.debugging.Assert(~has_nan | ~is_finite, [NAN]),
        tf.debugging.Assert(~has_infinite | has_nan | ~is_finite, [INFINITE]),
    ]
    with tf.control_dependencies([check for check in checks if check is not None]):  # eagerly None
        return [tf.identity(gradient) for gradient in gradients]


def refusal_of(error: Exception) -> str | None:
    """What `refuse_not_finite` found, in one line; None if the error is another."""
    if not isinstance(error, tf.errors.InvalidArgumentError):
        return None
    for gradient in (NAN, INFINITE):
        if gradient in str(error):
            return gradient
    if found := _DIVERGED.search(str(error)):
        return (
            f"the loss of iteration {found[1]} (the first is 0) is {found[2]}, and the weights are "
            f"left as they were before: {SMALLER}"
        )
    return None
