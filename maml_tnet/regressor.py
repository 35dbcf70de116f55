"""The paper's network for regression, built of T-net layers (section 6.1)."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from maml_tnet.arguments import whole_number
from maml_tnet.compat import build_layer
from maml_tnet.layers import TransformDense
from maml_tnet.task_network import TaskNetwork, layer_seed


@keras.utils.register_keras_serializable("maml_tnet")
class Regressor(TaskNetwork):
    """inputs -> dim_hidden -> dim_hidden -> outputs with ReLU between (section 6.1).

    W starts truncated normal with standard deviation 0.01, b at 0, T at the identity.

    Args:
        inputs: number of input features.
        outputs: number of outputs.
        dim_hidden: units of the two hidden layers.
        use_transform: T-net: every layer has a T.
        mask_per: None, "unit" or "weight", see `TransformLayer`.
        logit_init: initial mask logit.
        seed: of the initial weights.
    """

    compile_with_xla = True

    def __init__(
        self,
        inputs: int = 1,
        outputs: int = 1,
        *,
        dim_hidden: int = 40,
        use_transform: bool = False,
        mask_per: str | None = None,
        logit_init: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.arguments = {
            "inputs": inputs,
            "outputs": outputs,
            "dim_hidden": dim_hidden,
            "use_transform": use_transform,
            "mask_per": mask_per,
            "logit_init": logit_init,
            "seed": seed,
        }
        sizes_given = {"inputs": inputs, "dim_hidden": dim_hidden, "outputs": outputs}
        for name, size in sizes_given.items():
            whole_number(name, size, least=1)
        widths = [inputs, dim_hidden, dim_hidden, outputs]
        self.transform_layers = [
            TransformDense(
                units,
                use_transform=use_transform,
                mask_per=mask_per,
                logit_init=logit_init,
                kernel_initializer=keras.initializers.TruncatedNormal(
                    stddev=0.01, seed=layer_seed(seed, i)
                ),
                seed=layer_seed(seed, i) + 1,
                name=f"dense{i + 1}",
                dtype=self.dtype,
            )
            for i, units in enumerate(widths[1:])
        ]
        for layer, features in zip(self.transform_layers, widths, strict=False):
            build_layer(layer, [None, None, features])
        self.built = True

    @property
    def example_shape(self) -> Sequence[int]:
        """A row of features."""
        return (self.arguments["inputs"],)

    def prepare(self, x: tf.Tensor) -> tf.Tensor:
        """[tasks, examples, features] -> [examples, tasks, features]."""
        return tf.transpose(x, [1, 0, 2])

    def forward(self, inputs: tf.Tensor, fast_weights: Sequence[tf.Tensor]) -> tf.Tensor:
        """Equation (7): [examples, tasks, features] -> [examples, tasks, outputs]."""
        hidden = inputs
        *body, (head, head_weights) = self._by_layer(fast_weights)
        for layer, weights in body:
            hidden = tf.nn.relu(layer(hidden, weights))
        return head(hidden, head_weights)
