"""Keras' `fit`, `evaluate` and `predict` as both learners have them: data of nothing is refused."""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from tensorflow import keras

from maml_tnet.compat import as_first_raised, forget_validation_data
from maml_tnet.loss_gradients import refusal_of

NOTHING = (
    "takes a dataset with something in it, and nothing came from this one: its filter may let "
    "nothing through, or its generator have given everything before"
)


NO_EXAMPLE = "a task must have an example whose sample weight is not 0"
# What TensorFlow's loss says of a class number, among many lines of where it was.
OTHER_LABEL = re.compile(r"label value of (-?\d+) which is outside the valid range of \[0, (\d+)\)")


def in_words(error: Exception) -> Exception:
    """The error, or in its place one line of what was given."""
    if (line := NO_EXAMPLE if NO_EXAMPLE in str(error) else refusal_of(error)) is not None:
        refusal = ValueError(line)
        refusal.__cause__ = error
        return refusal
    if not (found := OTHER_LABEL.search(str(error))):
        return error
    label, outputs = map(int, found.groups())
    refusal = ValueError(
        f"targets must be class numbers from 0 to {outputs - 1}, as the model has {outputs} "
        f"outputs, got {label}"
    )
    refusal.__cause__ = error
    return refusal


class Step:
    """A function that Keras calls for every batch.

    Args:
        function: of an iterator, or of a batch.

    Attributes:
        taken: whether it was called with a batch, also where it failed.
        ended: whether there was no batch for its first call.
    """

    def __init__(self, function: Callable[[Any], Any]):
        self.function = function
        self.begin()

    def begin(self) -> None:
        """Forget earlier calls."""
        self.taken = self.ended = False

    def __call__(self, data: Any) -> Any:
        """Call the function; an error has the words of whoever raised it."""
        try:
            result = self.function(data)
        except (StopIteration, tf.errors.OutOfRangeError):
            self.ended = not self.taken
            raise
        except Exception as error:
            self.taken = True
            first = in_words(as_first_raised(error))
            raise first from first.__cause__
        self.taken = True
        return result


class Learner(keras.Model):
    """A Keras model that does not take data of nothing for data that it has learned.

    How much a filter or a generator gives nobody knows before. Of nothing Keras 3 makes a training
    without a step, and an evaluation without a number.
    """

    train_function: Any
    test_function: Any
    predict_function: Any

    def make_train_function(self, force: bool = False) -> Any:
        """Keras' function of a training step."""
        super().make_train_function(force)
        self.train_function = _as_step(self.train_function)
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        """Keras' function of a step of `evaluate`."""
        super().make_test_function(force)
        self.test_function = _as_step(self.test_function)
        return self.test_function

    def make_predict_function(self, force: bool = False) -> Any:
        """Keras' function of a step of `predict`."""
        super().make_predict_function(force)
        self.predict_function = _as_step(self.predict_function)
        return self.predict_function

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Keras' `fit`.

        Raises:
            ValueError: nothing came from the dataset.
        """
        forget_validation_data(self)
        with self._some_data("fit", lambda: self.train_function):
            return super().fit(*args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Keras' `evaluate`, also of `fit`'s validation data; see `fit`."""
        with self._some_data("evaluate", lambda: self.test_function):
            return super().evaluate(*args, **kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Keras' `predict`; see `fit`."""
        with self._some_data("predict", lambda: self.predict_function):
            return super().predict(*args, **kwargs)

    @contextlib.contextmanager
    def _some_data(self, what: str, step: Callable[[], Any]) -> Iterator[None]:
        if isinstance(step(), Step):
            step().begin()
        try:
            yield
        except StopIteration as error:  # of a Python generator
            raise ValueError(f"{what} {NOTHING}") from error
        except (UnboundLocalError, ValueError) as error:
            is_bug = isinstance(error, UnboundLocalError)  # Keras 3's, of a result that it lacks
            if isinstance(step(), Step) and (step().ended or (is_bug and not step().taken)):
                raise ValueError(f"{what} {NOTHING}") from error
            raise
        if isinstance(step(), Step) and step().ended:
            raise ValueError(f"{what} {NOTHING}")


def _as_step(function: Any) -> Step:
    return function if isinstance(function, Step) else Step(function)
