"""The loss of one task under a Keras model, of one output or of several."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from maml_tnet import losses
from maml_tnet.arguments import finite_number
from maml_tnet.second_derivatives import checked_loss

ModelLoss = Callable[[Any, Any, Any, int | tf.Tensor], tf.Tensor]
"""(targets, outputs, sample weights or None, number of support examples) -> a scalar."""

_SCOPE = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.]*")
NO_LOSS = 'compile with a loss, such as loss="mse"'


class _MeanOf(keras.losses.Loss):
    """A loss function as a loss: its mean over the examples."""

    def __init__(self, function: Callable[[Any, Any], Any], **kwargs: Any):
        name = getattr(function, "__name__", "")
        # Keras opens a scope of this name; a lambda has none that is one.
        super().__init__(name=name if _SCOPE.fullmatch(name) else "loss", **kwargs)
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.function(y_true, y_pred)


def model_loss(
    loss: Any,
    loss_weights: Any = None,
    *,
    output_names: Sequence[str] = (),
    dtype: str = "float32",
    first_order: bool = False,
) -> ModelLoss:
    """Make a task's loss of what `compile` is given.

    Args:
        loss: a Keras loss, its name, a function (targets, outputs), or one of the paper's losses
            in `maml_tnet.losses`, for every output; or a list or dict of them, one for each output
            that has a loss. Of several outputs the losses are summed.
        loss_weights: a number, or of a list or dict of losses one for each.
        output_names: by which a dict names the outputs of a model that gives a list.
        dtype: in which losses are computed that are given by name or as functions.
        first_order: second derivatives are not needed; otherwise a loss whose are wrong is refused
            where it is traced (`second_derivatives`).

    Raises:
        ValueError: no loss, one that is not reduced to a number, losses for other outputs than the
            model has, or weights of other losses.
    """
    if isinstance(loss, dict | list | tuple):
        keys = list(loss) if isinstance(loss, dict) else list(range(len(loss)))
        options: Any = {"dtype": dtype, "first_order": first_order}
        parts = {key: model_loss(loss[key], **options) for key in keys if loss[key] is not None}
        if not parts:
            raise ValueError(NO_LOSS)
        numbers = _numbers(loss_weights, loss, parts)

        def total(targets: Any, outputs: Any, weights: Any, support_size: Any) -> tf.Tensor:
            _check_outputs(loss, outputs, output_names)

            def of(values: Any, key: Any) -> Any:
                if isinstance(key, str) and isinstance(values, list | tuple):
                    return values[list(output_names).index(key)]
                return values if values is None or not tf.nest.is_nested(values) else values[key]

            return tf.add_n(
                [
                    numbers[key]
                    * part(of(targets, key), of(outputs, key), of(weights, key), support_size)
                    for key, part in parts.items()
                ]
            )

        return total
    if loss is None:
        raise ValueError(NO_LOSS)
    if loss_weights is not None:
        factor = finite_number("loss_weights of one loss", loss_weights)
        unweighted = model_loss(loss, dtype=dtype, first_order=first_order)
        return lambda *args: factor * unweighted(*args)
    return _of_every_output(_one_loss(loss, dtype=dtype, first_order=first_order))


def _of_every_output(loss: ModelLoss) -> ModelLoss:
    """The sum of a loss over the outputs, as in Keras where one loss is given for several."""

    def total(targets: Any, outputs: Any, weights: Any, support_size: Any) -> tf.Tensor:
        if not tf.nest.is_nested(outputs):
            return loss(targets, outputs, weights, support_size)
        if len(outputs) == 1 and not tf.nest.is_nested(targets):
            (outputs,) = tf.nest.flatten(outputs)
            return loss(targets, outputs, weights, support_size)
        is_dict = isinstance(outputs, dict)
        keys = list(outputs) if is_dict else list(range(len(outputs)))
        has_keys = tf.nest.is_nested(targets) and is_dict == isinstance(targets, dict)
        if not has_keys or set(keys) != set(targets if is_dict else range(len(targets))):
            raise ValueError(
                f"the model has {len(outputs)} outputs, for each of which there must be targets: "
                f"a {'dict' if is_dict else 'tuple'} of them, got {targets!r:.100}"
            )
        return tf.add_n(
            [
                total(
                    targets[key],
                    outputs[key],
                    weights[key] if tf.nest.is_nested(weights) else weights,
                    support_size,
                )
                for key in keys
            ]
        )

    return total


def _one_loss(loss: Any, *, dtype: str, first_order: bool) -> ModelLoss:
    """The loss of one output."""
    if loss in (losses.squared_error, losses.cross_entropy, losses.class_mean_cross_entropy):

        def papers(targets: Any, outputs: Any, weights: Any, support_size: Any) -> tf.Tensor:
            targets = _with_axis_of(outputs, targets, loss.__name__)
            if weights is not None:  # Padding is gone by now.
                message = f"{loss.__name__} takes no sample weights but 0, for padding, and 1"
                ones = tf.debugging.assert_equal(weights, tf.ones_like(weights), message)
                with tf.control_dependencies([ones]):
                    outputs = tf.identity(outputs)
            return loss(tf.expand_dims(outputs, 1), tf.expand_dims(targets, 1), support_size)[0]

        return papers
    loss = keras.losses.get(loss)
    is_ctc = loss is keras.losses.ctc or isinstance(loss, keras.losses.CTC)
    if is_ctc and not first_order:  # it fails over shapes, or ends the process
        raise ValueError("the loss CTC has no right second derivative: take first_order=True")
    if not isinstance(loss, keras.losses.Loss):
        loss = _MeanOf(loss, dtype=dtype)
    if loss.reduction in ("none", None):
        raise ValueError(f"the loss {loss.name!r} must be reduced to a number, got reduction=None")

    def keras_loss(targets: Any, outputs: Any, weights: Any, support_size: Any) -> tf.Tensor:
        del support_size
        with checked_loss(outputs, first_order=first_order):
            value = loss(targets, outputs, sample_weight=weights)
        return tf.cast(value, dtype)

    return keras_loss


def _numbers(loss_weights: Any, loss: Any, parts: Any) -> dict[Any, float]:
    """The weight of every output's loss."""
    if loss_weights is None:
        return dict.fromkeys(parts, 1.0)
    of_same_kind = isinstance(loss_weights, dict) == isinstance(loss, dict)
    if not (isinstance(loss_weights, dict | list | tuple) and of_same_kind):
        raise ValueError(f"loss_weights must be a {type(loss).__name__}, as loss is")
    keys = set(loss_weights if isinstance(loss, dict) else range(len(loss_weights)))
    if keys != set(loss if isinstance(loss, dict) else range(len(loss))):
        raise ValueError(f"loss_weights {loss_weights!r} must be of the outputs of loss {loss!r}")
    return {key: finite_number("a loss weight", loss_weights[key]) for key in parts}


def _check_outputs(loss: Any, outputs: Any, output_names: Sequence[str]) -> None:
    """Raise a ValueError if a list or dict of losses is for other outputs than a model's."""
    names: Any = output_names
    if isinstance(outputs, dict):
        names = list(outputs)
    number = len(outputs) if tf.nest.is_nested(outputs) else 1
    if isinstance(loss, dict):
        fits = set(loss) <= set(names)
    else:
        fits = len(loss) == number and not isinstance(outputs, dict)
    if not fits:
        raise ValueError(
            f"loss {loss!r} must be of the model's outputs, of which there are {number}"
            + (f": {', '.join(names)}" if names else ", without names")
        )


def _with_axis_of(outputs: tf.Tensor, targets: tf.Tensor, name: str) -> tf.Tensor:
    """Targets of the outputs' shape, where one output's have no axis for it as in Keras."""
    targets = tf.cast(targets, outputs.dtype)
    if targets.shape.rank == 1 and outputs.shape[1:] == [1]:
        targets = tf.expand_dims(targets, 1)
    if not targets.shape[1:].is_compatible_with(outputs.shape[1:]):
        what = "targets" if name == "squared_error" else "one-hot targets, no numbers of classes,"
        raise ValueError(
            f"{name} takes {what} of the outputs' shape {tuple(outputs.shape[1:])}, got "
            f"{tuple(targets.shape[1:])}"
        )
    return targets
