"""What a copy of a model has of it: what trains, and what its layers were made with."""

import warnings

import numpy as np
import pytest
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
