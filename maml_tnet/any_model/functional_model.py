"""A Keras model as a function of its weights and its state."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow import keras

from maml_tnet.any_model.exact_normalization import (
    ExactBatchNormalization,
    ExactSpectralNormalization,
    mean_over_calls,
    stored_statistics,
)
from maml_tnet.compat import sublayers

State = Mapping[int, tf.Tensor]
"""What calls change: values of variables that do not train, by the variables' ids."""


class Answers(NamedTuple):
    """What a model gives for inputs.

    Attributes:
        outputs: of the model.
        penalty: the sum of the losses that its layers add, such as regularizers; a scalar.
    """

    outputs: Any
    penalty: tf.Tensor


class FunctionalModel:
    """Calls a model with weights and state that are handed in, and hands the new state out.

    Args:
        model: of `copying.exact_copy`.

    Attributes:
        batch_normalizations: those that go by a task's statistics.
        statistics: their variables, which a call sets to those of its batch.
        seeds: the variables that random layers, such as dropout, count on.
    """

    def __init__(self, model: keras.Model):
        self.model = model
        layers = sublayers(model)
        self.batch_normalizations = [
            layer
            for layer in layers
            if isinstance(layer, ExactBatchNormalization) and layer.by_task
        ]
        self.statistics = [
            variable
            for layer in self.batch_normalizations
            for variable in (layer.moving_mean, layer.moving_variance)
        ]
        own = [
            part.state
            for layer in layers
            for part in vars(layer).values()
            if isinstance(part, keras.random.SeedGenerator)
        ]
        # Those in lists and the like come last: a run's draws go by the order.
        known = {id(v) for v in (*model.weights, *model.metrics_variables, *own)}
        self.seeds = [*own, *(v for v in model.variables if id(v) not in known)]
        spectral = [layer for layer in layers if isinstance(layer, ExactSpectralNormalization)]
        kept = [*self.statistics, *(v for layer in spectral for v in layer.weights)]
        unchanged = [*model.non_trainable_weights, *model.metrics_variables]
        self._constants = [v for v in unchanged if all(v is not other for other in kept)]

    def start(self, seeds: tf.Tensor) -> State:
        """The state before the first call, of seeds [random layers, 2]."""
        values = tf.unstack(seeds, len(self.seeds))
        return {
            id(variable): tf.cast(value, variable.dtype)
            for variable, value in zip(self.seeds, values, strict=True)
        }

    def __call__(
        self,
        inputs: Any,
        weights: Iterable[tuple[Any, tf.Tensor]],
        state: State,
        *,
        training: bool,
        by_stored_statistics: bool = False,
    ) -> tuple[Answers, State]:
        """Call the model; no variable of it is changed.

        Args:
            inputs: of the model.
            weights: pairs of a variable and the value that it has in this call.
            state: before the call.
            training: whether random layers are random.
            by_stored_statistics: normalize by the state's statistics, not by the batch's.

        Raises:
            ValueError: a layer changes other state than seeds and statistics, which would be lost.
        """
        stateful = [*self.seeds, *self.statistics]
        handed_in = [*weights, *((v, state[id(v)]) for v in stateful if id(v) in state)]
        stored = self.batch_normalizations if by_stored_statistics else []
        with (
            keras.StatelessScope(handed_in, collect_losses=True) as scope,
            stored_statistics(stored),
            mean_over_calls(self.batch_normalizations),
        ):
            outputs = self.model(inputs, training=training)
            penalties = [tf.reduce_sum(loss) for loss in self.model.losses]
        for variable in self._constants:
            if scope.get_current_value(variable) is not None:
                raise ValueError(
                    f"a call of the model changes {variable.path}, which would be lost: layers "
                    "here keep no state but random seeds and the statistics of batch normalization"
                )
        after = {id(v): scope.get_current_value(v) for v in stateful}
        dtype = self.model.weights[0].dtype
        penalty = tf.add_n([tf.zeros([], dtype), *(tf.cast(p, dtype) for p in penalties)])
        return Answers(outputs, penalty), {k: v for k, v in after.items() if v is not None}
