"""Keras' normalization layers with derivatives that are right to any order.

Keras computes mean and variance by `tf.nn.moments`, which holds the mean constant when it
differentiates the variance. A first derivative is not changed by that, a second one is wrong.
Each layer here is Keras' own, with the same configuration and the same weights, and computes the
same; only what it is computed by differs.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from maml_tnet.compat import sublayers
from maml_tnet.normalization import standardize


def _precise(x: tf.Tensor) -> tf.Tensor:
    """At least float32, in which statistics are taken."""
    return tf.cast(x, tf.float32) if x.dtype.size < 4 else x


def _broadcast(weight: Any, axes: Sequence[int], x: tf.Tensor) -> tf.Tensor:
    """A weight over some axes of x, in x's number type, to be multiplied with x."""
    shape = [x.shape[axis] if axis in axes else 1 for axis in range(x.shape.rank)]
    return tf.cast(tf.reshape(tf.convert_to_tensor(weight), shape), x.dtype)


@keras.utils.register_keras_serializable("maml_tnet")
class ExactBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization by the batch that it is given, in training and at inference alike.

    The batch's mean and variance become `moving_mean` and `moving_variance`, whole; inside
    `mean_over_calls` their means over the calls do, as Keras' moving averages have those of all.
    Inside `stored_statistics` these are used instead. Frozen, it uses them always, as Keras does,
    and where `keeps_averages` says so.

    Attributes:
        uses_stored: whether to normalize by the stored statistics.
        calls: inside `mean_over_calls`, how many have stored theirs.
        keeps_averages: whether to normalize by moving averages of its own, in training, too.
        heard_true, heard_false: with which `training` it was called.
    """

    uses_stored = False
    calls: int | None = None
    keeps_averages = False
    heard_true = heard_false = False

    @property
    def by_task(self) -> bool:
        """Whether statistics of a task are used, not moving averages of the model's own."""
        return self.trainable and not self.keeps_averages

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        """Normalize [examples, ...], same out; `mask` [examples, ...] leaves out positions."""
        self.heard_true |= bool(training)
        self.heard_false |= not training
        if not self.by_task:
            return super().call(inputs, training=False, mask=mask)
        x = _precise(inputs)
        feature_axis = self.axis % x.shape.rank
        axes = [axis for axis in range(x.shape.rank) if axis != feature_axis]
        if self.uses_stored:
            centered = x - _broadcast(self.moving_mean, [feature_axis], x)
            variance = _broadcast(self.moving_variance, [feature_axis], x)
            y = centered * tf.math.rsqrt(variance + self.epsilon)
        elif mask is None:
            y = standardize(x, axes, self.epsilon)
            mean = tf.reduce_mean(x, axes, keepdims=True)
            self._store(mean, tf.reduce_mean(tf.square(x - mean), axes))
        else:
            weights = tf.expand_dims(tf.cast(mask, x.dtype), -1) * tf.ones_like(x)
            # As Keras does, for a mask that is False everywhere.
            total = tf.reduce_sum(weights, axes, keepdims=True) + keras.backend.epsilon()
            mean = tf.reduce_sum(weights * x, axes, keepdims=True) / total
            square = weights * tf.square(x - mean)
            variance = tf.reduce_sum(square, axes, keepdims=True) / total
            y = (x - mean) * tf.math.rsqrt(variance + self.epsilon)
            self._store(mean, variance)
        if self.scale:
            y *= _broadcast(self.gamma, [feature_axis], x)
        if self.center:
            y += _broadcast(self.beta, [feature_axis], x)
        return tf.cast(y, self.compute_dtype)

    def _store(self, mean: tf.Tensor, variance: tf.Tensor) -> None:
        for variable, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            value = tf.cast(tf.reshape(value, [-1]), variable.dtype)
            if self.calls:
                before = tf.convert_to_tensor(variable)
                value = before + (value - before) / (self.calls + 1)
            variable.assign(value)
        if self.calls is not None:
            self.calls += 1


@contextlib.contextmanager
def stored_statistics(layers: Sequence[ExactBatchNormalization]) -> Iterator[None]:
    """Let batch normalizations use what they stored of the batch before."""
    for layer in layers:
        layer.uses_stored = True
    try:
        yield
    finally:
        for layer in layers:
            layer.uses_stored = False


@contextlib.contextmanager
def mean_over_calls(layers: Sequence[ExactBatchNormalization]) -> Iterator[None]:
    """Let batch normalizations that a model calls several times store the mean over its calls."""
    for layer in layers:
        layer.calls = 0
    try:
        yield
    finally:
        for layer in layers:
            layer.calls = None


def check_lengths(model: keras.Model) -> None:
    """Refuse batch normalizations that are called once for a number of steps that is not known.

    So `TimeDistributed` calls what is inside it, and one step's statistics alone are to be had.

    Args:
        model: whose batch normalizations are to store statistics.

    Raises:
        ValueError: there is one that goes by the task's statistics.
    """
    for layer in sublayers(model):
        inner = sublayers(layer) if isinstance(layer, keras.layers.TimeDistributed) else []
        if any(isinstance(each, ExactBatchNormalization) and each.by_task for each in inner):
            try:
                unknown = layer.input.shape[1] is None
            except (AttributeError, ValueError):  # it is in no functional model
                continue
            if unknown:
                raise ValueError(
                    f"the layer {layer.name!r} has a batch normalization for a number of steps "
                    "that is not known: give that number to the model's Input, or take "
                    'normalize_by="batch"'
                )


@keras.utils.register_keras_serializable("maml_tnet")
class ExactLayerNormalization(keras.layers.LayerNormalization):
    """Layer normalization, also with `rms_scaling=True`."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Normalize [examples, ...], same out."""
        x = _precise(inputs)
        axes = [self.axis] if isinstance(self.axis, int) else list(self.axis)
        axes = sorted(axis % x.shape.rank for axis in axes)
        if getattr(self, "rms_scaling", False):  # Keras' name of a division by the deviation alone
            variance = tf.reduce_mean(
                tf.square(x - tf.reduce_mean(x, axes, keepdims=True)), axes, keepdims=True
            )
            y = x * tf.math.rsqrt(variance + self.epsilon)
        else:
            y = standardize(x, axes, self.epsilon)
        if self.gamma is not None:
            y *= _broadcast(self.gamma, axes, x)
        if self.beta is not None:
            y += _broadcast(self.beta, axes, x)
        return tf.cast(y, self.compute_dtype)


@keras.utils.register_keras_serializable("maml_tnet")
class ExactGroupNormalization(keras.layers.GroupNormalization):
    """Group normalization."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Normalize [examples, ...], same out."""
        x = _precise(inputs)
        feature_axis = self.axis % x.shape.rank
        sizes = [tf.shape(x)[axis] if n is None else n for axis, n in enumerate(x.shape)]
        split = [self.groups, sizes[feature_axis] // self.groups]
        grouped = tf.reshape(x, [*sizes[:feature_axis], *split, *sizes[feature_axis + 1 :]])
        axes = [axis for axis in range(1, grouped.shape.rank) if axis != feature_axis]
        y = tf.reshape(standardize(grouped, axes, self.epsilon), sizes)
        if self.scale:
            y *= _broadcast(self.gamma, [feature_axis], x)
        if self.center:
            y += _broadcast(self.beta, [feature_axis], x)
        return tf.cast(y, self.compute_dtype)


@keras.utils.register_keras_serializable("maml_tnet")
class ExactSpectralNormalization(keras.layers.SpectralNormalization):
    """The layer inside with its kernel divided by the kernel's largest singular value.

    Keras' layer overwrites the kernel in training; here the kernel stays what it is and is divided
    in every call. The power iteration starts from the same vector in every call.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """What the layer inside gives."""
        del training
        kernel = tf.convert_to_tensor(self.kernel)
        matrix = tf.reshape(kernel, [-1, kernel.shape[-1]])
        u = tf.cast(tf.convert_to_tensor(self.vector_u), kernel.dtype)
        for _ in range(self.power_iterations):
            v = tf.math.l2_normalize(tf.matmul(u, matrix, transpose_b=True))
            u = tf.math.l2_normalize(tf.matmul(v, matrix))
        sigma = tf.matmul(tf.matmul(v, matrix), u, transpose_b=True)
        self.kernel.assign(kernel / sigma[0, 0])
        outputs = self.layer(inputs)
        self.kernel.assign(kernel)
        return outputs
