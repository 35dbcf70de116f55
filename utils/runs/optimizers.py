"""The meta-optimizers: Adam, or one of TensorFlow Addons' where Addons exists."""

import contextlib
from collections.abc import Iterator
from typing import Any

from tensorflow import keras

from maml_tnet import MetaLearner
from maml_tnet.compat import tensorflow_addons
from utils.command.configuration import META_OPTIMIZERS, in_words
from utils.errors import UsageError

# TensorFlow 1's default, which the original programs ran with. Keras' is ten times as large, and
# the gradients of mask logits are small.
EPSILON = 1e-8


def meta_optimizer(name: str, learning_rate: float) -> Any:
    """Build a meta-optimizer.

    Args:
        name: one of `META_OPTIMIZERS`; "lookahead" is around Adam, "moving_average" is Adam, of
            whose weights an exponential moving average is evaluated and exported.
        learning_rate: beta of equation (14).

    Raises:
        UsageError: it needs TensorFlow Addons, which is not there.
        ValueError: the name is unknown.
    """
    if name == "adam":
        return keras.optimizers.Adam(learning_rate, epsilon=EPSILON)
    if name not in META_OPTIMIZERS:
        raise ValueError(f"name must be {in_words(META_OPTIMIZERS)}, got {name!r}")
    try:
        addons = tensorflow_addons().optimizers
    except ImportError as error:
        raise UsageError(
            f"--meta_optimizer={name} cannot be used: {error}; take Python 3.11 with TensorFlow "
            "Addons, as a run that has this optimizer needs, or adam for a new one"
        ) from error
    # The wrappers of Addons take Keras' legacy optimizers, which only its stack still has.
    adam = keras.optimizers.legacy.Adam(learning_rate, epsilon=EPSILON)
    match name:
        case "rectified_adam":
            return addons.RectifiedAdam(learning_rate, epsilon=EPSILON)
        case "lookahead":
            return addons.Lookahead(adam)
        case _:
            return addons.MovingAverage(adam)


@contextlib.contextmanager
def evaluation_weights(learner: MetaLearner) -> Iterator[None]:
    """Give the learner the weights to evaluate: the moving average, if its optimizer keeps one."""
    optimizer, variables = learner.optimizer, learner.trainable_variables
    if not hasattr(optimizer, "assign_average_vars"):
        yield
        return
    trained = [variable.numpy() for variable in variables]
    optimizer.assign_average_vars(variables)
    try:
        yield
    finally:
        for variable, value in zip(variables, trained, strict=True):
            variable.assign(value)
