"""Small models, one for every kind of layer, with smooth activations."""

from collections.abc import Callable
from typing import Any

import numpy as np
from tensorflow import keras

layers = keras.layers


def _sequential(input_shape: Any, *parts: Any) -> keras.Model:
    return keras.Sequential([keras.Input(input_shape), *parts, layers.Flatten(), layers.Dense(2)])


def _residual() -> keras.Model:
    inputs = keras.Input([4, 4, 2])
    hidden = layers.Conv2D(3, 3, padding="same", use_bias=False)(inputs)
    hidden = layers.Activation("gelu")(layers.BatchNormalization()(hidden))
    hidden = layers.BatchNormalization()(layers.Conv2D(3, 3, padding="same")(hidden))
    skipped = layers.Conv2D(3, 1)(inputs)
    outputs = layers.GlobalAveragePooling2D()(keras.activations.gelu(hidden + skipped))
    return keras.Model(inputs, layers.Dense(2)(outputs))


def _branches() -> keras.Model:
    inputs = keras.Input([6, 2])
    shared = layers.Dense(3, activation="tanh")
    left = shared(layers.Conv1D(3, 3, padding="same", dilation_rate=2)(inputs))
    right = shared(layers.Dense(3, activation="softplus")(inputs))
    joined = layers.Concatenate()([left, layers.Multiply()([left, right])])
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalMaxPooling1D()(joined)))


def _several_inputs_and_outputs() -> keras.Model:
    pictures, numbers = keras.Input([3, 3, 1], name="pictures"), keras.Input([2], name="numbers")
    hidden = layers.Flatten()(layers.Conv2D(2, 2, activation="tanh")(pictures))
    hidden = layers.Concatenate()([hidden, layers.Dense(3)(numbers)])
    outputs = {"a": layers.Dense(2, name="a")(hidden), "b": layers.Dense(1, name="b")(hidden)}
    return keras.Model({"pictures": pictures, "numbers": numbers}, outputs)


def _multi_head_attention() -> keras.Model:
    inputs = keras.Input([4, 3])
    hidden = layers.MultiHeadAttention(2, 2)(inputs, inputs)
    hidden = layers.LayerNormalization()(layers.Add()([inputs, hidden]))
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(hidden)))


def _attention() -> keras.Model:
    inputs = keras.Input([4, 3])
    query, value = layers.Dense(3)(inputs), layers.Dense(3)(inputs)
    hidden = layers.Attention(use_scale=True)([query, value])
    hidden = layers.AdditiveAttention()([hidden, value])
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(hidden)))


def _grouped_query_attention() -> keras.Model:
    inputs = keras.Input([3, 4])
    hidden = layers.GroupQueryAttention(2, 4, 2)(inputs, inputs)
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(hidden)))


def _nested() -> keras.Model:
    inner = keras.Sequential(
        [
            keras.Input([4, 4, 2]),
            layers.Conv2D(3, 2, activation="gelu"),
            layers.BatchNormalization(),
            layers.Flatten(),
        ],
        name="inner",
    )
    inputs = keras.Input([4, 4, 2])
    return keras.Model(inputs, layers.Dense(2)(layers.LayerNormalization()(inner(inputs))))


def _frozen_backbone() -> keras.Model:
    backbone = keras.applications.MobileNetV2(
        input_shape=(32, 32, 3), alpha=0.35, include_top=False, weights=None, pooling="avg"
    )
    backbone.trainable = False
    head = [layers.Dense(4, activation="tanh"), layers.BatchNormalization(), layers.Dense(2)]
    return keras.Sequential([keras.Input([32, 32, 3]), backbone, *head])


@keras.utils.register_keras_serializable("tests")
class OwnLayer(layers.Layer):
    """A layer of one's own, of which nothing is known."""

    def build(self, input_shape: Any) -> None:
        """A vector and a number."""
        self.vector = self.add_weight(name="vector", shape=[input_shape[-1]])
        self.number = self.add_weight(name="number", shape=[], initializer="ones")
        self.built = True

    def call(self, x: Any) -> Any:
        """Elementwise."""
        return keras.ops.tanh(x * self.vector) * self.number


@keras.utils.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """A subclassed model with dropout and no `training` argument."""

    def __init__(self, units: int = 3, **kwargs: Any):
        super().__init__(**kwargs)
        self.units = units
        self.hidden = layers.Dense(units, activation="tanh")
        self.dropout = layers.Dropout(0.4)
        self.head = layers.Dense(2)

    def call(self, x: Any) -> Any:
        """[examples, features] -> [examples, 2]."""
        return self.head(self.dropout(self.hidden(x)))

    def get_config(self) -> dict:
        """Its argument."""
        return {"units": self.units}


def _subclassed() -> keras.Model:
    model = Subclassed()
    model(np.zeros([1, 3]))
    return model


def _regularized() -> keras.Model:
    return _sequential([3], layers.Dense(4, kernel_regularizer="l2", activity_regularizer="l2"))


KINDS: dict[str, Callable[[], keras.Model]] = {
    "dense": lambda: _sequential([3], layers.Dense(4, activation="tanh")),
    "conv1d": lambda: _sequential([6, 2], layers.Conv1D(3, 3, strides=2, activation="gelu")),
    "conv2d": lambda: _sequential([5, 5, 2], layers.Conv2D(3, 3, activation="elu")),
    "conv3d": lambda: _sequential(
        [3, 3, 3, 1], layers.Conv3D(2, 2, activation="tanh"), layers.GlobalAveragePooling3D()
    ),
    "grouped_conv2d": lambda: _sequential([4, 4, 4], layers.Conv2D(4, 3, groups=2)),
    "transposed": lambda: _sequential(
        [3, 2],
        layers.Conv1DTranspose(3, 2, activation="tanh"),
        layers.Reshape([2, 2, 3]),
        layers.Conv2DTranspose(2, 2, activation="tanh"),
    ),
    "transposed3d": lambda: _sequential([2, 2, 2, 1], layers.Conv3DTranspose(2, 2)),
    "separable": lambda: _sequential(
        [5, 5, 2],
        layers.SeparableConv2D(3, 3, depth_multiplier=2, activation="gelu"),
        layers.Reshape([9, 3]),
        layers.SeparableConv1D(2, 3, activation="gelu"),
    ),
    "depthwise": lambda: _sequential(
        [5, 5, 2],
        layers.DepthwiseConv2D(3, depth_multiplier=2, activation="gelu"),
        layers.Reshape([9, 4]),
        layers.DepthwiseConv1D(3, activation="gelu"),
        layers.DepthwiseConv1D(2, trainable=False),
    ),
    "pooling": lambda: _sequential(
        [8, 8, 2],
        layers.Conv2D(3, 3, padding="same", activation="swish"),
        layers.MaxPooling2D(),
        layers.AveragePooling2D(2, strides=1, padding="same"),
        layers.UpSampling2D(interpolation="bilinear"),
        layers.GlobalMaxPooling2D(),
    ),
    "batch_normalization": lambda: _sequential(
        [4, 4, 2], layers.Conv2D(3, 3), layers.BatchNormalization(), layers.Activation("gelu")
    ),
    "batch_normalization_of_every_step": lambda: _sequential(
        [2, 3], layers.Dense(2), layers.TimeDistributed(layers.BatchNormalization())
    ),
    "layer_normalization": lambda: _sequential(
        [3, 4],
        layers.Dense(4),
        layers.LayerNormalization(axis=[1, 2]),
        layers.TimeDistributed(layers.LayerNormalization()),
        layers.Activation("gelu"),
    ),
    "group_normalization": lambda: _sequential(
        [3, 3, 4], layers.Conv2D(4, 2), layers.GroupNormalization(2), layers.Activation("gelu")
    ),
    "other_normalizations": lambda: _sequential(
        [4],
        layers.Normalization(mean=0.3, variance=2.0),
        layers.Dense(4),
        layers.UnitNormalization(),
        layers.Dense(3),
        layers.LayerNormalization(rms_scaling=True),
        layers.RMSNormalization(),
    ),
    "spectral_normalization": lambda: _sequential(
        [3], layers.SpectralNormalization(layers.Dense(4, activation="tanh"))
    ),
    "residual": _residual,
    "branches": _branches,
    "several": _several_inputs_and_outputs,
    "embedding": lambda: _sequential([4], layers.Embedding(5, 3, mask_zero=True), layers.LSTM(2)),
    "simple_rnn": lambda: _sequential([3, 2], layers.SimpleRNN(3, return_sequences=True)),
    "lstm": lambda: _sequential([3, 2], layers.LSTM(2, dropout=0.2, recurrent_dropout=0.2)),
    "gru": lambda: _sequential(
        [3, 2],
        layers.Bidirectional(layers.GRU(2, return_sequences=True)),
        layers.GRU(2, reset_after=False),
    ),
    "conv_lstm": lambda: _sequential([2, 3, 3, 1], layers.ConvLSTM2D(2, 2)),
    "multi_head_attention": _multi_head_attention,
    "attention": _attention,
    "grouped_query_attention": _grouped_query_attention,
    "einsum_dense": lambda: _sequential(
        [3, 4], layers.EinsumDense("abc,dec->aed", (2, 3), bias_axes="d", activation="tanh")
    ),
    "dropout": lambda: _sequential(
        [4, 3],
        layers.Dense(4, activation="tanh"),
        layers.SpatialDropout1D(0.3),
        layers.Dropout(0.3),
        layers.GaussianNoise(0.1),
    ),
    "own_layer": lambda: _sequential([3], layers.Dense(4), OwnLayer(), layers.PReLU()),
    "regularized": _regularized,
    "nested": _nested,
    "subclassed": _subclassed,
    "frozen_backbone": _frozen_backbone,
}


def random_inputs(model: keras.Model, rng: np.random.Generator, examples: int) -> Any:
    """Numbers for the inputs of a model, whole ones from 1 to 4 for an embedding."""
    if isinstance(model, Subclassed):
        return rng.normal(size=[examples, 3])
    has_embedding = any(isinstance(layer, layers.Embedding) for layer in model.layers)

    def one(tensor: Any) -> np.ndarray:
        shape = [examples, *tensor.shape[1:]]
        return rng.integers(1, 5, size=shape) if has_embedding else rng.normal(size=shape)

    if len(model.inputs) > 1:
        return {tensor.name: one(tensor) for tensor in model.inputs}
    return one(model.inputs[0])
