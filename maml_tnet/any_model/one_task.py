"""One task under any Keras model: learning its support set, and answering its queries."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from maml_tnet.adaptation import Examples, adaptation_path
from maml_tnet.any_model.adapting_weights import AdaptingWeights, Noise, Values
from maml_tnet.any_model.functional_model import Answers, FunctionalModel
from maml_tnet.any_model.loss import ModelLoss

NORMALIZE_BY = ("support", "batch")


class OneTask:
    """Algorithm 2 for one task; its methods are those that `adaptation_path` asks of a network.

    Within the task, random layers count on from call to call. Nothing of it is left behind: what a
    call changes is kept here, and in no variable.

    Args:
        function: the model.
        weights: of it, those that adapt.
        loss: of a task.
        values: of all trainable variables.
        seeds: int32 [random layers, 2], what random layers start from.
        training: whether they are random.
        normalize_by: "support" or "batch", what batch normalization takes for queries.
    """

    def __init__(
        self,
        function: FunctionalModel,
        weights: AdaptingWeights,
        loss: ModelLoss,
        values: Values,
        seeds: tf.Tensor,
        *,
        training: bool,
        normalize_by: str,
    ):
        self.function = function
        self.weights = weights
        self.loss = loss
        self.values = values
        self.state = function.start(seeds)
        self.training = training
        self.normalize_by = normalize_by

    def learn(
        self, support: Examples, noise: Noise, *, steps: int, first_order: bool
    ) -> list[tf.Tensor]:
        """Lines 4 to 9: the task's own W and b after its inner steps.

        Args:
            support: inputs and (targets, sample weights or None), [examples, ...].
            noise: of its masks.
            steps: number of inner steps.
            first_order: do not differentiate through the inner gradients.
        """
        *_, last = adaptation_path(
            self,
            self.loss_of,
            support,
            tasks=1,
            step_sizes=self.weights.step_sizes(self.values),
            masks=self.weights.masks(self.values, steps, noise),
            first_order=first_order,
            project=self.weights.constrained,
        )
        return last.fast_weights

    def start(self, inputs: Any, targets: Any, tasks: int) -> list[tf.Tensor]:
        """W and b that every task starts from; `tasks` is 1."""
        del inputs, targets, tasks
        return self.weights.initial(self.values)

    def forward(
        self, inputs: Any, fast_weights: Sequence[tf.Tensor], *, by_stored_statistics: bool = False
    ) -> Answers:
        """Equation (7): the model, called with W T and b T in the places of W and b."""
        adapted = self.weights.transformed(self.values, fast_weights)
        places = {id(variable) for variable, _ in adapted}
        others = [
            (variable, self.values[id(variable)])
            for variable in self.function.model.trainable_variables
            if id(variable) not in places
        ]
        answers, self.state = self.function(
            inputs,
            adapted + others,
            self.state,
            training=self.training,
            by_stored_statistics=by_stored_statistics,
        )
        return answers

    def loss_of(self, answers: Answers, targets: Any, support_size: Any) -> tf.Tensor:
        """The task's loss, a scalar. `targets` are (targets, sample weights or None)."""
        y, weights = targets
        loss = self.loss(y, answers.outputs, weights, support_size)
        dtype = self.weights.dtype
        return tf.cast(loss, dtype) + tf.cast(answers.penalty, dtype)

    def answer(self, support_x: Any, query_x: Any, fast_weights: Sequence[tf.Tensor]) -> Answers:
        """Answer queries, with batch normalization by the support set's statistics or their own."""
        if self.normalize_by == "batch" or not self.function.batch_normalizations:
            return self.forward(query_x, fast_weights)
        self.forward(support_x, fast_weights)
        return self.forward(query_x, fast_weights, by_stored_statistics=True)
