"""What the inner loop asks of a network.

Called as a Keras model, a network maps [tasks, examples, ...] to [tasks, examples, outputs] with
its initial weights. The inner loop instead calls `prepare` once for each set of inputs and then
`forward` with every task's own weights.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from maml_tnet.arguments import LEAST_INT32, whole_number
from maml_tnet.layers import TransformLayer, for_every_task


class TaskNetwork(keras.Model):
    """What the inner loop needs of a network; subclasses set `transform_layers`.

    Attributes:
        transform_layers: the layers with W, b, T and mask logits, from input to output.
        arguments: the subclass's own constructor arguments, for `get_config`.
    """

    transform_layers: list[TransformLayer]
    arguments: dict[str, Any]

    @property
    def compile_with_xla(self) -> bool:
        """Whether this network's steps are fastest under `jit_compile=True`."""
        raise NotImplementedError

    @property
    def outputs_per_example(self) -> int | None:
        """Number of outputs of one example; None where the task's targets say it."""
        return self.transform_layers[-1].units

    @property
    def example_shape(self) -> Sequence[int] | None:
        """Shape of one example's inputs; None where the network does not say it."""
        return None

    @property
    def queries_influence_each_other(self) -> bool:
        """Whether the answer to a query depends on what else is asked with it."""
        return False

    @property
    def initial_weights(self) -> list[tf.Variable]:
        """W and b of every layer, meta-learned: what inner steps start from."""
        return [w for layer in self.transform_layers for w in layer.initial_weights]

    @property
    def fast_weight_shapes(self) -> list[Sequence[int]]:
        """Of W and b of every layer, which inner steps change, without the task axis."""
        return [shape for layer in self.transform_layers for shape in layer.fast_weight_shapes]

    def initial_fast_weights(self, tasks: int | tf.Tensor) -> list[tf.Tensor]:
        """The initial weights, one copy per task: each [..., tasks, units]."""
        return [for_every_task(w, tasks) for w in self.initial_weights]

    @property
    def mask_logits(self) -> list[tf.Variable]:
        """The mask logits zeta of every layer; empty without masks."""
        return [logits for layer in self.transform_layers for logits in layer.mask_logits]

    @property
    def masks_each_step(self) -> bool:
        """Whether every inner step has masks of its own, as those per weight in the original."""
        return any(layer.mask_per == "weight" for layer in self.transform_layers)

    def masks_of_weights(self, masks: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """One mask per fast weight, from one mask per tensor of `mask_logits`."""
        remaining = iter(masks)
        return [
            mask
            for layer in self.transform_layers
            for mask in layer.masks_of_weights([next(remaining) for _ in layer.mask_logits])
        ]

    def part_of(self, tasks: int | None, x: tf.Tensor) -> int | None:
        """How many of a batch's tasks are best computed at a time (`kernels.parts`).

        Args:
            tasks: in the batch; None where the graph does not know it.
            x: the support inputs, [tasks, examples, ...].
        """
        del x
        return tasks

    def prepare(self, x: tf.Tensor) -> Any:
        """Compute, once, what `forward` needs of inputs [tasks, examples, ...]."""
        raise NotImplementedError

    def prepare_queries(self, x: tf.Tensor, support_x: tf.Tensor) -> Any:
        """The same for the queries of tasks whose support inputs are `support_x`."""
        del support_x
        return self.prepare(x)

    def prepare_each(self, x: tf.Tensor) -> Any:
        """The same for inputs of which each is to be answered as if it were alone."""
        return self.prepare(x)

    def learned(self, support_x: tf.Tensor, fast_weights: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """All that answers need of tasks: their weights, and what else the support set gives.

        Args:
            support_x: [tasks, support, ...].
            fast_weights: the tasks' own, after their inner steps.
        """
        del support_x
        return list(fast_weights)

    def answer(self, x: tf.Tensor, learned: Sequence[tf.Tensor]) -> tf.Tensor:
        """Outputs [queries, tasks, outputs] for queries [tasks, queries, ...], from `learned`."""
        return self.forward(self.prepare(x), learned)

    def start(self, inputs: Any, targets: tf.Tensor, tasks: int | tf.Tensor) -> list[tf.Tensor]:
        """The fast weights from which the tasks' inner steps start, each [..., tasks, units].

        Args:
            inputs: prepared, of the support set.
            targets: of the support set, [support, tasks, outputs].
            tasks: their number.
        """
        del inputs, targets
        return self.initial_fast_weights(tasks)

    def forward(self, inputs: Any, fast_weights: Sequence[tf.Tensor]) -> tf.Tensor:
        """Outputs [examples, tasks, outputs] of prepared inputs under the tasks' own weights."""
        raise NotImplementedError

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """[tasks, examples, ...] -> [tasks, examples, outputs], with the initial weights."""
        x = tf.convert_to_tensor(x)
        outputs = self.forward(self.prepare(x), self.initial_fast_weights(tf.shape(x)[0]))
        return tf.transpose(outputs, [1, 0, 2])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments; Keras 2 leaves name and dtype to the model."""
        return {**super().get_config(), "name": self.name, "dtype": self.dtype, **self.arguments}

    def _by_layer(
        self, fast_weights: Sequence[tf.Tensor]
    ) -> list[tuple[TransformLayer, list[tf.Tensor]]]:
        """Every layer with its own of a flat list of weights."""
        remaining = iter(fast_weights)
        return [
            (layer, list(itertools.islice(remaining, len(layer.fast_weight_shapes))))
            for layer in self.transform_layers
        ]


def layer_seed(seed: int, layer: int) -> int:
    """Different for every layer of every seed.

    Raises:
        ValueError: the seed is no whole number.
    """
    return 1000 * whole_number("seed", seed, least=LEAST_INT32) + 10 * layer
