"""What a copy of a model has of it: what trains, and what its layers were made with."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from maml_tnet import MetaLearner
from maml_tnet.any_model.copying import exact_copy
from maml_tnet.compat import sublayers

layers = keras.layers


class TwoDense(layers.Layer):
    """A layer whose configuration, as many do, says nothing of its `trainable`."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.first, self.second = layers.Dense(units), layers.Dense(2)

    def call(self, x):
        return self.second(self.first(x))

    def get_config(self):
        return {"units": self.units}


def whole_layer(model):
    model.layers[0].trainable = False


def inner_layer(model):
    model.layers[0].first.trainable = False


def one_weight(model):
    model.layers[0].second.kernel.trainable = False


@pytest.mark.parametrize("freeze", [whole_layer, inner_layer, one_weight])
def test_what_is_frozen_trains_in_no_copy(freeze):
    model = keras.Sequential([keras.Input([2]), TwoDense(3), layers.Dense(1)])
    freeze(model)
    expected = [v.trainable for v in model.weights]
    learner = MetaLearner(model, update_lr=0.1, transform=True, mask="unit")
    assert [v.trainable for v in learner.network.weights] == expected
    learner.compile("sgd", loss="mse", run_eagerly=True)
    learned = learner.adapt(np.ones([4, 2], "float32"), np.zeros([4, 1], "float32"))
    assert [v.trainable for v in learned.weights] == expected
    changed = [
        not np.array_equal(a, b)
        for a, b in zip(model.get_weights(), learned.get_weights(), strict=True)
    ]
    assert changed == expected


def test_layers_inside_keras_own_are_frozen_by_themselves():
    x = keras.Input([5, 2])
    attention = layers.MultiHeadAttention(2, 3)
    shared = layers.Normalization(mean=0.0, variance=1.0)
    model = keras.Model(x, layers.Dense(1)(attention(shared(x), x)))
    attention.trainable = False
    next(layer for layer in sublayers(attention)[1:] if layer.weights).trainable = True
    shared.trainable = False
    copy = exact_copy(model)
    assert [v.trainable for v in copy.weights] == [v.trainable for v in model.weights]
    assert not shared.trainable


class Clipped(layers.Layer):
    """Has arguments that act beyond 1 and in training alone."""

    def __init__(self, most=1.0, table=(1.0, 1.0), rate=1.0, said=3, **kwargs):
        super().__init__(**kwargs)
        self.most, self.table, self._rate, self.said = most, np.array(table), rate, said
        self.calls = 0

    def build(self, shape):
        self.scale = self.add_weight(shape=shape[1:], initializer="ones")

    def call(self, x, training=False):
        self.calls += 1
        x = keras.ops.minimum(x, self.most) * self.scale
        return x * self._rate if training else x

    def get_config(self):
        return {**super().get_config(), "said": np.float32(self.said)}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"most": 255.0}, "most"),
        ({"table": (1.0, 5.0)}, "table"),
        ({"rate": 0.1}, "_rate"),
        ({"said": 0.1}, None),
        ({"most": 1}, None),
        ({}, None),
    ],
)
def test_an_argument_that_a_config_leaves_out_is_said_where_answers_do_not_show_it(given, name):
    model = keras.Sequential([keras.Input([2]), Clipped(**given, name="clip"), layers.Dense(1)])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        exact_copy(model)
    texts = [str(warning.message) for warning in said]
    assert len(texts) == (name is not None)
    assert all(f"the layer 'clip' (Clipped) has {name} = " in text for text in texts)


def relu(x):
    """Has a name that an activation of Keras has."""
    return tf.math.sin(x)


class AtMost(keras.constraints.Constraint):
    """Is in no registry, and has a configuration without its argument."""

    def __init__(self, most):
        self.most = most

    def __call__(self, w):
        return tf.minimum(w, self.most)


class Cell(layers.Layer):
    """A recurrent cell that is in no registry."""

    state_size = output_size = 3

    def build(self, shape):
        self.kernel = self.add_weight(shape=[shape[-1], 3])

    def call(self, x, states, training=False):
        state = tf.tanh(x @ self.kernel + states[0])
        return state, [state]


def functions_that_differ():
    return [
        layers.Dense(
            3,
            kernel_regularizer=lambda w, factor=factor: factor * tf.reduce_sum(w**2),
            kernel_initializer=lambda shape, dtype=None: tf.ones(shape, dtype),
            activation=lambda x, factor=factor: factor * x,
            name=f"times{factor}",
        )
        for factor in (2, 3)
    ]


@pytest.mark.parametrize(
    "parts",
    [
        lambda: [layers.Dense(3, activation=relu)],
        lambda: [layers.Dense(3, activation=tf.math.sin)],
        functions_that_differ,
        lambda: [layers.TimeDistributed(keras.Sequential(functions_that_differ()))],
        lambda: [layers.Dense(3, kernel_constraint=AtMost(0.0))],
        lambda: [layers.BatchNormalization(beta_constraint=AtMost(0.0))],
        lambda: [layers.LSTM(3, activation=relu, return_sequences=True)],
        lambda: [layers.RNN(Cell(), return_sequences=True)],
    ],
)
def test_functions_and_classes_of_ones_own_need_no_registry(parts):
    model = keras.Sequential([keras.Input([4, 2]), *parts(), layers.Dense(1)])
    learner = MetaLearner(model, update_lr=0.1)
    learner.compile("sgd", loss="mse", run_eagerly=True)
    x = np.random.default_rng(0).normal(size=[5, 4, 2]).astype("float32")
    learned = learner.adapt(x, np.zeros([5, 4, 1], "float32"), num_updates=0)
    for copy in (learner.network, learned):
        np.testing.assert_allclose(copy.losses, model.losses)
        for layer, other in zip(sublayers(model), sublayers(copy), strict=True):
            assert not layer.weights or layer is not other
            for part in ("kernel_regularizer", "kernel_constraint", "beta_constraint"):
                assert getattr(other, part, None) is getattr(layer, part, None)
    if not any(isinstance(layer, layers.BatchNormalization) for layer in model.layers):
        np.testing.assert_allclose(learned(x), model(x), rtol=1e-5, atol=1e-6)


class HoldsFunction(layers.Layer):
    """A layer that makes what it holds of its configuration itself."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function, self.dense = function, layers.Dense(2)

    def call(self, x):
        return self.function(self.dense(x))

    def get_config(self):
        function = keras.utils.serialize_keras_object(self.function)
        return {**super().get_config(), "function": function}

    @classmethod
    def from_config(cls, config):
        function = keras.utils.deserialize_keras_object(config.pop("function"))
        return cls(function, **config)


def own(x):
    return 2 * x


def test_a_layer_of_ones_own_is_made_as_it_says():
    model = keras.Sequential([keras.Input([2]), HoldsFunction(keras.activations.tanh)])
    assert exact_copy(model).layers[0].function is keras.activations.tanh
    model = keras.Sequential([keras.Input([2]), HoldsFunction(own, name="mine")])
    message = (
        r"^the layer 'mine' \(HoldsFunction\) cannot be copied, Could not locate function 'own'"
    )
    with pytest.raises(ValueError, match=message) as said:
        exact_copy(model)
    assert str(said.value).endswith("need a @keras.utils.register_keras_serializable()")
    assert len(str(said.value)) < 300


@pytest.mark.parametrize("name", ["BatchNormalization", "LayerNormalization"])
def test_a_subclass_of_a_normalization_is_called_that(name):
    kind = type("Mine", (getattr(layers, name),), {})
    model = keras.Sequential([keras.Input([2]), kind(name="norm"), layers.Dense(1)])
    with pytest.raises(
        ValueError, match=rf"'norm' \(Mine\) is of a subclass of Keras' {name}, .* use keras.layers"
    ):
        exact_copy(model)
