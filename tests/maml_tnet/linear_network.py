"""One T-net layer as a whole network: the setting of section 4 and of appendix A."""

from collections.abc import Sequence

import tensorflow as tf

from maml_tnet import TransformDense
from maml_tnet.task_network import TaskNetwork


class LinearNetwork(TaskNetwork):
    """y = T W x, in double precision, for inputs and outputs of given sizes."""

    compile_with_xla = True

    def __init__(self, inputs: int, outputs: int, *, use_transform: bool = True):
        super().__init__(dtype="float64")
        self.arguments = {}
        layer = TransformDense(
            outputs, use_bias=False, use_transform=use_transform, mask_per="unit", dtype="float64"
        )
        layer.build([None, None, inputs])
        self.transform_layers = [layer]
        self.built = True

    def prepare(self, x: tf.Tensor) -> tf.Tensor:
        return tf.transpose(x, [1, 0, 2])

    def forward(self, inputs: tf.Tensor, fast_weights: Sequence[tf.Tensor]) -> tf.Tensor:
        return self.transform_layers[0](inputs, fast_weights)


def half_squared_error(outputs: tf.Tensor, targets: tf.Tensor, support_size: int) -> tf.Tensor:
    """The loss of appendix A, 1/2 |y^ - y|^2, summed over a task's examples."""
    del support_size
    return tf.reduce_sum((outputs - targets) ** 2, axis=[0, 2]) / 2
