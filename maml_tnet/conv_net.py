"""The paper's network for images, built of T-net layers (section 6.4)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow import keras

from maml_tnet.arguments import true_or_false, whole_number
from maml_tnet.compat import build_layer
from maml_tnet.kernels import device
from maml_tnet.kernels.folding import PatchStatistics, fold, patch_statistics
from maml_tnet.kernels.parts import even_part
from maml_tnet.kernels.pooling import max_pool
from maml_tnet.kernels.task_axis import merge_tasks, sizes, split_tasks
from maml_tnet.layers import TransformConv2D, TransformDense
from maml_tnet.normalization import TaskBatchNormalization, TaskLayerNormalization
from maml_tnet.support_statistics import (
    SupportStatistics,
    standardize_queries,
    standardize_with_support,
    support_statistics,
)
from maml_tnet.task_network import TaskNetwork, layer_seed

NORMS = ("batch_norm", "layer_norm", None)
# Float32 numbers in 1 MB, half of what a core of today has as its own cache: 2 MB are no faster on
# two cores, and half as many tasks at a time keep twice as many cores at work.
CACHED_NUMBERS = 2**18


class PreparedImages(NamedTuple):
    """Images as `ConvNet.forward` takes them.

    Attributes:
        images: [examples, height, width, tasks, channels].
        statistics: of their patches under the first layer's kernel, where all images are normalized
            together by batch norm.
        support: how many first images are the support set, beside which each of the others, the
            only ones that are answered, is normalized by itself; None: all are normalized together.
        support_statistics: of every block, where each image is normalized by itself beside a
            support set of which no more is known.
    """

    images: tf.Tensor
    statistics: PatchStatistics | None = None
    support: int | tf.Tensor | None = None
    support_statistics: Sequence[SupportStatistics] = ()


@keras.utils.register_keras_serializable("maml_tnet")
class ConvNet(TaskNetwork):
    """Four blocks of [3x3 convolution, T, normalization, ReLU (, max pool)] and a dense head.

    Omniglot's network (section 6.4) has stride 2 and averages over positions before the head;
    miniImagenet's has stride 1, 2x2 max pooling and a head on the flattened features. Batch
    normalization removes every constant that is added before it, b with its gradient included, so
    with it the convolutions are built without b: the same function, computed with less.

    Args:
        image_shape: (height, width, channels).
        outputs: the way N.
        num_filters: of every convolution.
        norm: "batch_norm", "layer_norm" or None.
        max_pool: stride 1 and 2x2 max pooling instead of stride 2.
        flatten: give the head all positions' features instead of their mean. The head's W then
            starts Glorot uniform, otherwise normal with standard deviation 1.
        use_transform: T-net: every layer has a T.
        mask_per: None, "unit" or "weight", see `TransformLayer`.
        logit_init: initial mask logit.
        seed: of the initial weights.

    Raises:
        ValueError: unknown `norm`, a number out of range, or images too small for four blocks of
            max pooling.
    """

    blocks = 4

    def __init__(
        self,
        image_shape: Sequence[int] = (28, 28, 1),
        outputs: int = 5,
        *,
        num_filters: int = 64,
        norm: str | None = "batch_norm",
        max_pool: bool = False,
        flatten: bool = False,
        use_transform: bool = False,
        mask_per: str | None = None,
        logit_init: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if norm not in NORMS:
            raise ValueError(f"norm must be one of {NORMS}, got {norm!r}")
        if not isinstance(image_shape, list | tuple | tf.TensorShape) or len(image_shape) != 3:
            raise ValueError(f"image_shape must be (height, width, channels), got {image_shape!r}")
        for size in image_shape:
            whole_number("a size in image_shape", size, least=1)
        whole_number("num_filters", num_filters, least=1)
        whole_number("outputs", outputs, least=1)
        self.arguments = {
            "image_shape": tuple(image_shape),
            "outputs": outputs,
            "num_filters": num_filters,
            "norm": norm,
            "max_pool": max_pool,
            "flatten": flatten,
            "use_transform": use_transform,
            "mask_per": mask_per,
            "logit_init": logit_init,
            "seed": seed,
        }
        self.max_pool = true_or_false("max_pool", max_pool)
        self.flatten = true_or_false("flatten", flatten)
        shared = {
            "use_transform": use_transform,
            "mask_per": mask_per,
            "logit_init": logit_init,
            "dtype": self.dtype,
        }
        convolutions, (height, width) = self._build_convolutions(shared)
        features = height * width * num_filters if flatten else num_filters
        head = self._build_head(features, outputs, layer_seed(seed, self.blocks), shared)
        self.transform_layers = [*convolutions, head]

        self.normalizations = []
        if norm is not None:
            normalization = {
                "batch_norm": TaskBatchNormalization,
                "layer_norm": TaskLayerNormalization,
            }[norm]
            self.normalizations = [
                normalization(name=f"norm{i + 1}", dtype=self.dtype) for i in range(self.blocks)
            ]
            for layer in self.normalizations:
                build_layer(layer, [None, None, None, None, num_filters])
        self.built = True

    def _build_convolutions(
        self, shared: dict[str, Any]
    ) -> tuple[list[TransformConv2D], tuple[int, int]]:
        """Those of all blocks, and the height and width of what the last block gives.

        Raises:
            ValueError: nothing is left of the images.
        """
        chosen = self.arguments
        height, width, channels = chosen["image_shape"]
        convolutions = []
        for i in range(self.blocks):
            seed = layer_seed(chosen["seed"], i)
            layer = TransformConv2D(
                chosen["num_filters"],
                strides=1 if self.max_pool else 2,
                use_bias=chosen["norm"] != "batch_norm",
                kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
                seed=seed + 1,
                name=f"conv{i + 1}",
                **shared,
            )
            build_layer(layer, [None, height, width, None, channels])
            convolutions.append(layer)
            height, width = (
                (size // 2 if self.max_pool else (size + 1) // 2) for size in (height, width)
            )
            channels = chosen["num_filters"]
        if height * width == 0:
            raise ValueError(
                f"image_shape must be at least 16 x 16 for four blocks of max pooling, "
                f"got {tuple(chosen['image_shape'])}"
            )
        return convolutions, (height, width)

    def _build_head(self, features: int, outputs: int, seed: int, shared: dict[str, Any]) -> Any:
        """The last layer, from features to logits."""
        head = TransformDense(
            outputs,
            kernel_initializer=(
                keras.initializers.GlorotUniform(seed=seed)
                if self.flatten
                else keras.initializers.RandomNormal(stddev=1.0, seed=seed)
            ),
            seed=seed + 1,
            name="head",
            **shared,
        )
        build_layer(head, [None, None, features])
        return head

    @property
    def compile_with_xla(self) -> bool:
        """On a GPU: on a CPU XLA does grouped convolutions badly."""
        return device.forms().xla_of_convolutions

    @property
    def example_shape(self) -> Sequence[int]:
        """One image."""
        return self.arguments["image_shape"]

    def part_of(self, tasks: int | None, x: tf.Tensor) -> int | None:
        """As many tasks as keep the first layer's activations in a core's cache."""
        if tasks is None or not device.forms().in_parts:
            return tasks
        examples, height, width, _ = x.shape[1:]
        if examples is None:
            return 1
        first = self.transform_layers[0]
        numbers = examples * -(-height // first.strides) * -(-width // first.strides) * first.units
        return even_part(tasks, max(1, CACHED_NUMBERS // numbers))

    def prepare(self, x: tf.Tensor) -> PreparedImages:
        """[tasks, examples, height, width, channels] -> `PreparedImages`."""
        first, statistics = self.transform_layers[0], None
        if self._has_batch_norm and device.forms().fold:
            statistics = patch_statistics(x, first.size, first.strides)
        return PreparedImages(tf.transpose(x, [1, 2, 3, 0, 4]), statistics)

    def prepare_each(self, x: tf.Tensor) -> PreparedImages:
        """Images of which each is to be normalized by itself."""
        return self._beside(x[:, :0], x)

    def _beside(self, support_x: tf.Tensor, x: tf.Tensor) -> PreparedImages:
        """Images x of which each is to be normalized with those of the support set alone."""
        if not self._has_batch_norm:
            return self.prepare(x)
        images = tf.transpose(tf.concat([support_x, x], axis=1), [1, 2, 3, 0, 4])
        return PreparedImages(images, support=sizes(support_x)[1])

    @property
    def queries_influence_each_other(self) -> bool:
        """Batch normalization is by the statistics of all of them."""
        return self._has_batch_norm

    @property
    def _has_batch_norm(self) -> bool:
        return bool(self.normalizations) and isinstance(
            self.normalizations[0], TaskBatchNormalization
        )

    def forward(self, inputs: PreparedImages, fast_weights: Sequence[tf.Tensor]) -> tf.Tensor:
        """Equation (7): prepared images -> logits [examples, tasks, way]."""
        *_, (head, head_weights) = self._by_layer(fast_weights)
        return head(self._embed(inputs, fast_weights), head_weights)

    def _embed(self, inputs: PreparedImages, fast_weights: Sequence[tf.Tensor]) -> tf.Tensor:
        """The blocks: prepared images -> the head's inputs [examples, tasks, features]."""
        body = self._by_layer(fast_weights)[: self.blocks]
        hidden = inputs.images
        for block, (layer, weights) in enumerate(body):
            if block == 0 and inputs.statistics is not None:
                hidden, offset = self._folded_convolution(inputs.images, inputs.statistics, weights)
            else:
                hidden = layer(hidden, weights)
                hidden, offset = self._normalized(block, hidden, inputs)
            hidden = self._rectified(hidden, offset)
        return self._features(hidden if inputs.support is None else hidden[inputs.support :])

    def _rectified(self, hidden: tf.Tensor, offset: tf.Tensor | None) -> tf.Tensor:
        """The end of a block: offset, ReLU and pooling.

        The largest of four numbers stays the largest under an offset and under ReLU, so pooling
        comes first: there is less to add to and to rectify.
        """
        if self.max_pool:
            hidden = split_tasks(max_pool(merge_tasks(hidden)), hidden.shape[-1])
        return tf.nn.relu(hidden if offset is None else _add_offset(hidden, offset))

    def _support_statistics(
        self, support_x: tf.Tensor, fast_weights: Sequence[tf.Tensor]
    ) -> list[SupportStatistics]:
        """Of every block's activations on the support set, where there is batch normalization."""
        if not self._has_batch_norm:
            return []
        found = []
        inputs = PreparedImages(tf.transpose(support_x, [1, 2, 3, 0, 4]))
        hidden = inputs.images
        for block, (layer, weights) in enumerate(self._by_layer(fast_weights)[: self.blocks]):
            hidden = layer(hidden, weights)
            found.append(support_statistics(hidden))
            hidden = self._rectified(*self._normalized(block, hidden, inputs))
        return found

    def _normalized(
        self, block: int, hidden: tf.Tensor, inputs: PreparedImages
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Activations without the normalization's offset, and the offset."""
        if not self.normalizations:
            return hidden, None
        normalization = self.normalizations[block]
        if inputs.support_statistics:
            known = inputs.support_statistics[block]
            standardized = standardize_queries(hidden, known, normalization.epsilon)
        elif inputs.support is not None:
            standardized = standardize_with_support(hidden, inputs.support, normalization.epsilon)
        else:
            standardized = normalization.standardize(hidden)
        return standardized, tf.convert_to_tensor(normalization.beta)

    def _folded_convolution(
        self, images: tf.Tensor, statistics: PatchStatistics, weights: Sequence[tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The first block's convolution, T and batch normalization by one folded kernel.

        Returns:
            the normalized activations without their offset, and the offset, [tasks, filters].
        """
        layer, normalization = self.transform_layers[0], self.normalizations[0]
        kernel, offset = fold(
            layer.apply_transform(weights[0]),
            statistics,
            normalization.beta,
            normalization.epsilon,
        )
        return layer.linear(images, kernel), offset

    def _features(self, hidden: tf.Tensor) -> tf.Tensor:
        """[examples, height, width, tasks, filters] -> [examples, tasks, features]."""
        if not self.flatten:
            return tf.reduce_mean(hidden, axis=[1, 2])
        shape = tf.shape(hidden)
        features = hidden.shape[1] * hidden.shape[2] * hidden.shape[4]
        return tf.reshape(tf.transpose(hidden, [0, 3, 1, 2, 4]), [shape[0], shape[3], features])


def _add_offset(x: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    """Add an offset [tasks, features] or [features] to activations.

    As a bias, which TensorFlow adds within a convolution and whose gradient is fast.
    """
    if offset.shape.rank == 1:
        return tf.nn.bias_add(x, offset)
    return split_tasks(tf.nn.bias_add(merge_tasks(x), tf.reshape(offset, [-1])), offset.shape[-1])
