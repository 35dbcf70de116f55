"""The layers of T-nets and MT-nets: y = T (W x + b).

In row-vector code `y = (x W + b) T`. A layer owns four kinds of parameters: the kernel W and the
bias b, which a task's inner steps change; the transform T and the mask logits zeta, which only the
meta-learner changes.

All activations have the shape [examples, ..., tasks, features] and all fast weights
[..., tasks, units]: with the task axis second to last, a mask [tasks, units] broadcasts over a
kernel as equation (8) is written, T is one product over the last axis, and the convolutions of all
tasks are one grouped convolution over tasks * features channels.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from maml_tnet.arguments import finite_number, true_or_false, whole_number
from maml_tnet.kernels.convolutions import task_convolution
from maml_tnet.kernels.task_axis import sizes

MASK_PER = ("unit", "weight")


def for_every_task(weight: tf.Tensor, tasks: int | tf.Tensor) -> tf.Tensor:
    """Give each task its copy: [..., units] -> [..., tasks, units]."""
    weight = tf.convert_to_tensor(weight)
    return tf.broadcast_to(
        tf.expand_dims(weight, -2), [*weight.shape[:-1], tasks, weight.shape[-1]]
    )


class TransformLayer(keras.layers.Layer):
    """What the dense and the convolutional layer share: the parameters and T.

    Args:
        units: number of outputs (features or filters).
        use_bias: whether there is a b.
        use_transform: whether there is a T (a T-net); it starts as the identity.
        mask_per: None (no mask), "unit" (one logit per output unit masks `W[..., j]` and `b[j]`
            together, the paper's MT-net), or "weight" (one logit per scalar weight and bias).
        logit_init: initial zeta; with "weight" the mean of a truncated normal distribution.
        kernel_initializer: Keras initializer of W.
        seed: makes the initial mask logits of "weight" reproducible.

    Attributes:
        kernel: W, [..., inputs, units].
        bias: b, [units], or None.
        transform: T, [units, units], or None.
        mask_logits: tuple of zeta: empty, ([units],), or one of the shape of each fast weight.

    Raises:
        ValueError: a number out of range, an unknown `mask_per`, or inputs without a task axis.
    """

    mask_logit_stddev: float
    axes: str

    def __init__(
        self,
        units: int,
        *,
        use_bias: bool = True,
        use_transform: bool = False,
        mask_per: str | None = None,
        logit_init: float = 0.0,
        kernel_initializer: Any = "glorot_uniform",
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if mask_per is not None and mask_per not in MASK_PER:
            raise ValueError(f"mask_per must be None or one of {MASK_PER}, got {mask_per!r}")
        self.units = whole_number("units", units, least=1)
        self.use_bias = true_or_false("use_bias", use_bias)
        self.use_transform = true_or_false("use_transform", use_transform)
        self.mask_per = mask_per
        self.logit_init = finite_number("logit_init", logit_init)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.seed = seed

    def kernel_shape(self, inputs: int) -> list[int]:
        """Shape of W for a number of input features."""
        raise NotImplementedError

    def build(self, input_shape: Sequence[Any]) -> None:
        """Create the parameters for inputs [examples, ..., tasks, features]."""
        if len(input_shape) != len(self.axes.split(",")):
            raise ValueError(
                f"{type(self).__name__} takes [{self.axes}], with an axis for tasks, got inputs of "
                f"shape {tuple(input_shape)}"
            )
        shape = self.kernel_shape(input_shape[-1])
        self.kernel = self.add_weight(
            name="kernel", shape=shape, initializer=self.kernel_initializer
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=[self.units], initializer="zeros")
        self.transform = None
        if self.use_transform:
            self.transform = self.add_weight(
                name="transform", shape=[self.units, self.units], initializer="identity"
            )
        self.mask_logits = tuple(self._mask_logits())
        self.built = True

    def _mask_logits(self) -> list[tf.Variable]:
        if self.mask_per is None:
            return []
        if self.mask_per == "unit":
            constant = keras.initializers.Constant(self.logit_init)
            return [self.add_weight(name="mask_logits", shape=[self.units], initializer=constant)]
        return [
            self.add_weight(
                name=f"{name}_mask_logits",
                shape=weight.shape,
                initializer=keras.initializers.TruncatedNormal(
                    self.logit_init, self.mask_logit_stddev, seed=self.seed + i
                ),
            )
            for i, (name, weight) in enumerate(
                zip(("kernel", "bias"), self.initial_weights, strict=False)
            )
        ]

    @property
    def initial_weights(self) -> list[tf.Variable]:
        """What inner steps start from, meta-learned: [W, b]."""
        return [self.kernel] if self.bias is None else [self.kernel, self.bias]

    @property
    def fast_weight_shapes(self) -> list[Sequence[int]]:
        """Of W and b, which inner steps change, without the task axis."""
        return [w.shape for w in self.initial_weights]

    def masks_of_weights(self, masks: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """One mask for W and one for b, from one mask per tensor of `mask_logits`."""
        return list(masks) * len(self.initial_weights) if self.mask_per == "unit" else list(masks)

    def apply_transform(self, y: tf.Tensor) -> tf.Tensor:
        """Multiply by T: [..., units] -> [..., units]."""
        if self.transform is None:
            return y
        flat = tf.reshape(y, [-1, self.units])
        return tf.reshape(tf.matmul(flat, self.transform), sizes(y))

    def linear(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """The product x W, task by task."""
        raise NotImplementedError

    def call(self, x: tf.Tensor, fast_weights: Sequence[tf.Tensor] | None = None) -> tf.Tensor:
        """Compute T (W x + b).

        Args:
            x: [examples, ..., tasks, features].
            fast_weights: the tasks' own [W, b], each [..., tasks, units]; by default the initial
                ones, the same for every task.

        Returns:
            [examples, ..., tasks, units].
        """
        if fast_weights is None:
            fast_weights = [for_every_task(w, sizes(x)[-2]) for w in self.initial_weights]
        y = self.linear(x, fast_weights[0])
        if self.bias is not None:
            y += fast_weights[1]
        return self.apply_transform(y)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "use_bias": self.use_bias,
            "use_transform": self.use_transform,
            "mask_per": self.mask_per,
            "logit_init": self.logit_init,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "seed": self.seed,
        }


@keras.utils.register_keras_serializable("maml_tnet")
class TransformDense(TransformLayer):
    """Fully connected T-net layer, `y = (x W + b) T` (equations 3 and 7).

    W is [features, units]. Input [examples, tasks, features], output [examples, tasks, units].

    >>> layer = TransformDense(40, use_transform=True, mask_per="unit")
    >>> layer(tf.ones([10, 4, 1])).shape      # 10 examples of each of 4 tasks
    TensorShape([10, 4, 40])
    """

    mask_logit_stddev = 0.1
    axes = "examples, tasks, features"

    def kernel_shape(self, inputs: int) -> list[int]:
        """W is [features, units]."""
        return [inputs, self.units]

    def linear(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """[examples, tasks, features] x [features, tasks, units]."""
        return tf.einsum("nti,ito->nto", x, kernel)


@keras.utils.register_keras_serializable("maml_tnet")
class TransformConv2D(TransformLayer):
    """Convolutional T-net layer: SAME convolution by W, then b, then T as a 1x1 convolution.

    W is [size, size, features, filters]. Input [examples, height, width, tasks, features], output
    [examples, height / strides, width / strides, tasks, filters].

    Args:
        units: number of filters.
        size: height and width of W.
        strides: of the convolution, in both directions.
        **kwargs: see `TransformLayer`.
    """

    mask_logit_stddev = 0.01
    axes = "examples, height, width, tasks, features"

    def __init__(self, units: int, *, size: int = 3, strides: int = 1, **kwargs: Any):
        super().__init__(units, **kwargs)
        self.size = whole_number("size", size, least=1)
        self.strides = whole_number("strides", strides, least=1)

    def kernel_shape(self, inputs: int) -> list[int]:
        """W is [size, size, features, filters]."""
        return [self.size, self.size, inputs, self.units]

    def linear(self, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """The convolution of every task's x with its own kernel."""
        return task_convolution(x, kernel, self.strides)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "size": self.size, "strides": self.strides}
