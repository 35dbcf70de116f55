"""The loss of one task under a Keras model, of one output or of several."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from maml_tnet import losses

ModelLoss = Callable[[Any, Any, Any, int | tf.Tensor], tf.Tensor]
"""(targets, outputs, sample weights or None, number of support examples) -> a scalar."""


class _MeanOf(keras.losses.Loss):
    """A loss function as a loss: its mean over the examples."""

    def __init__(self, function: Callable[[Any, Any], Any], **kwargs: Any):
        super().__init__(name=getattr(function, "__name__", "loss"), **kwargs)
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.function(y_true, y_pred)


def model_loss(
    loss: Any, loss_weights: Any = None, *, output_names: Sequence[str] = (), dtype: str = "float32"
) -> ModelLoss:
    """Make a task's loss of what `compile` is given.

    Args:
        loss: a Keras loss, its name, a function (targets, outputs), or one of the paper's losses
            in `maml_tnet.losses`; or a list or dict of them, one for each output that has a loss.
        loss_weights: a number for each output.
        output_names: by which a dict names the outputs of a model that gives a list.
        dtype: in which losses are computed that are given by name or as functions.

    Raises:
        ValueError: no loss, or one that is not reduced to a number.
    """
    if loss is None:
        raise ValueError('compile with a loss, such as loss="mse"')
    if isinstance(loss, dict | list | tuple):
        keys = list(loss) if isinstance(loss, dict) else list(range(len(loss)))
        parts = {key: model_loss(loss[key], dtype=dtype) for key in keys if loss[key] is not None}
        numbers = {key: 1.0 if loss_weights is None else loss_weights[key] for key in parts}

        def total(targets: Any, outputs: Any, weights: Any, support_size: Any) -> tf.Tensor:
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
    if loss in (losses.squared_error, losses.cross_entropy):

        def papers(targets: Any, outputs: Any, weights: Any, support_size: Any) -> tf.Tensor:
            del weights  # 0 or 1, which say what is padding; that is gone by now
            return loss(tf.expand_dims(outputs, 1), tf.expand_dims(targets, 1), support_size)[0]

        return papers
    loss = keras.losses.get(loss)
    if not isinstance(loss, keras.losses.Loss):
        loss = _MeanOf(loss, dtype=dtype)
    if loss.reduction in ("none", None):
        raise ValueError(f"the loss {loss.name!r} must be reduced to a number, got reduction=None")

    def keras_loss(targets: Any, outputs: Any, weights: Any, support_size: Any) -> tf.Tensor:
        del support_size
        return tf.cast(loss(targets, outputs, sample_weight=weights), dtype)

    return keras_loss
