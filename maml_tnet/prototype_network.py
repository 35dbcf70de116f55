"""The network for single pictures and any number of classes, in any order."""

import itertools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from maml_tnet.compat import build_layer
from maml_tnet.conv_net import ConvNet, PreparedImages
from maml_tnet.prototypes import PrototypeHead
from maml_tnet.support_statistics import SupportStatistics

# s times the number of features at the start.
SCALE = 64.0


@keras.utils.register_keras_serializable("maml_tnet")
class PrototypeConvNet(ConvNet):
    """`ConvNet` with a head that starts from prototypes, answering each query by itself.

    The blocks are the paper's. Batch normalization is by the support set and the query itself
    (`support_statistics`), and the head is `prototypes.PrototypeHead`: no query influences another,
    and one network serves any number of classes, in any order, with any numbers of pictures.
    `losses.class_mean_cross_entropy` is the loss whose unit depends on none of these.

    As a Keras model it maps images [tasks, examples, ...] to their features under the initial
    weights, [tasks, examples, features], of which prototypes are means.

    Args:
        image_shape: (height, width, channels).
        **arguments: as of `ConvNet`, but for `outputs`.

    Raises:
        ValueError: see `ConvNet`; or the number type is float16, in which losses become nan.
    """

    def __init__(self, image_shape: Sequence[int] = (28, 28, 1), **arguments: Any):
        super().__init__(image_shape, **arguments)
        if self.dtype == "float16":
            raise ValueError(
                "dtype must be float32, float64 or bfloat16, got float16: losses become nan in it"
            )
        del self.arguments["outputs"]

    def _build_head(self, features: int, outputs: int, seed: int, shared: dict[str, Any]) -> Any:
        del outputs, seed
        head = PrototypeHead(scale=SCALE / features, name="head", **shared)
        build_layer(head, [None, None, features])
        return head

    def start(
        self, inputs: PreparedImages, targets: tf.Tensor, tasks: int | tf.Tensor
    ) -> list[tf.Tensor]:
        """The initial weights of the blocks, and the support set's prototypes under them."""
        body = self.initial_fast_weights(tasks)
        features = self._embed(inputs, body)
        return [*body, *self.transform_layers[-1].prototypes(features, targets)]

    def prepare_queries(self, x: tf.Tensor, support_x: tf.Tensor) -> PreparedImages:
        """Queries [tasks, queries, ...], each to be normalized with the support set and itself."""
        return self._beside(support_x, x)

    def learned(self, support_x: tf.Tensor, fast_weights: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The tasks' weights, then size, mean and variance of the support set in every block."""
        statistics = self._support_statistics(support_x, fast_weights)
        return [*fast_weights, *itertools.chain.from_iterable(statistics)]

    def answer(self, x: tf.Tensor, learned: Sequence[tf.Tensor]) -> tf.Tensor:
        """As `forward` of `prepare_queries`, without the support set itself."""
        weights = len(self.fast_weight_shapes)
        rest = learned[weights:]
        if not rest:
            return self.forward(self.prepare(x), learned)
        images = tf.transpose(x, [1, 2, 3, 0, 4])
        statistics = [SupportStatistics(*rest[i : i + 3]) for i in range(0, len(rest), 3)]
        inputs = PreparedImages(images, support_statistics=statistics)
        return self.forward(inputs, learned[:weights])

    @property
    def outputs_per_example(self) -> int | None:
        """As many as the task has classes."""
        return None

    @property
    def queries_influence_each_other(self) -> bool:
        """No query's statistics reach another."""
        return False

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """[tasks, examples, ...] -> [tasks, examples, features], with the initial weights."""
        x = tf.convert_to_tensor(x)
        body = self.initial_fast_weights(tf.shape(x)[0])
        return tf.transpose(self._embed(self.prepare(x), body), [1, 0, 2])
