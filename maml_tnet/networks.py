"""The paper's two networks, built of T-net layers (sections 6.1 and 6.4).

Called as a Keras model, a network maps [tasks, examples, ...] to [tasks, examples, outputs] with
its initial weights. The inner loop instead calls `prepare` once for each set of inputs and then
`forward` with every task's own weights.
"""

import itertools
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
from maml_tnet.layers import TransformConv2D, TransformDense, TransformLayer, for_every_task
from maml_tnet.normalization import TaskBatchNormalization, TaskLayerNormalization
from maml_tnet.support_statistics import (
    SupportStatistics,
    standardize_queries,
    standardize_with_support,
    support_statistics,
)

NORMS = ("batch_norm", "layer_norm", None)
# Float32 numbers in 1 MB, half of what a core of today has as its own cache: 2 MB are no faster on
# two cores, and half as many tasks at a time keep twice as many cores at work.
CACHED_NUMBERS = 2**18


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
                    stddev=0.01, seed=_layer_seed(seed, i)
                ),
                seed=_layer_seed(seed, i) + 1,
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
        height, width, channels = image_shape
        convolutions = []
        for i in range(self.blocks):
            layer_seed = _layer_seed(seed, i)
            layer = TransformConv2D(
                num_filters,
                strides=1 if max_pool else 2,
                use_bias=norm != "batch_norm",
                kernel_initializer=keras.initializers.GlorotUniform(seed=layer_seed),
                seed=layer_seed + 1,
                name=f"conv{i + 1}",
                **shared,
            )
            build_layer(layer, [None, height, width, None, channels])
            convolutions.append(layer)
            height, width = (
                (size // 2 if max_pool else (size + 1) // 2) for size in (height, width)
            )
            channels = num_filters
        if height * width == 0:
            raise ValueError(
                f"image_shape must be at least 16 x 16 for four blocks of max pooling, "
                f"got {tuple(image_shape)}"
            )
        features = height * width * channels if flatten else channels
        head = self._build_head(features, outputs, _layer_seed(seed, self.blocks), shared)
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


def _layer_seed(seed: int, layer: int) -> int:
    """Different for every layer of every seed."""
    return 1000 * seed + 10 * layer
