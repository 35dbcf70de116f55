"""Which layers of a model are its head."""

import pytest
from tensorflow import keras

from maml_tnet.any_model.unit_groups import adapting_groups

layers = keras.layers


def two_outputs(x, h):
    return [
        layers.Activation("softmax")(layers.Dense(2, name="p")(h)),
        layers.Dense(1, name="q")(h),
    ]


def summed(x, h):
    return layers.Add()([layers.Dense(2, name="p")(h), layers.Dense(2, name="q")(x)])


def with_a_shortcut(x, h):
    return layers.Add()([layers.Dense(4, name="p")(h), h])


def normalized(x, h):
    return layers.BatchNormalization()(layers.Dense(2, name="p")(h))


def before_a_frozen_layer(x, h):
    return layers.Dense(2, trainable=False)(layers.Dense(2, name="p")(h))


def one_after_the_other(x, h):
    hidden = layers.Dense(3, name="p")(h)
    return [hidden, layers.Dense(1, name="q")(hidden)]


def called_twice(x, h):
    layer = layers.Dense(4, name="p")
    return layer(layer(h))


def in_a_dict(x, h):
    return {"one": layers.Dense(2, name="p")(h) * 2.0, "other": layers.Dense(2, name="q")(h)}


def a_model_inside(x, h):
    head = keras.Sequential([keras.Input([4]), layers.Dense(3), layers.Dense(1)], name="p")
    return head(h)


HEADS = {
    two_outputs: {"p", "q"},
    summed: {"p", "q"},
    with_a_shortcut: {"p"},
    normalized: {"p"},
    before_a_frozen_layer: {"p"},
    one_after_the_other: {"p", "q"},
    called_twice: {"p"},
    in_a_dict: {"p", "q"},
    a_model_inside: {"p"},
}


@pytest.mark.parametrize("outputs", HEADS)
def test_heads_are_the_last_layers_before_every_output(outputs):
    x = keras.Input([4])
    model = keras.Model(x, outputs(x, layers.Dense(4, activation="tanh", name="body")(x)))

    def adapting(adapt):
        return {id(w.variable) for group in adapting_groups(model, adapt) for w in group.weights}

    heads = {id(v) for name in HEADS[outputs] for v in model.get_layer(name).trainable_variables}
    assert adapting("head") == heads
    assert adapting("body") == adapting("all") - heads
    assert {id(v) for v in model.get_layer("body").trainable_variables} <= adapting("body")


def test_the_head_of_layers_in_a_row_is_the_last_that_can_adapt():
    parts = [layers.Dense(4), layers.Dense(2, name="p"), layers.LayerNormalization()]
    groups = adapting_groups(keras.Sequential([keras.Input([4]), *parts]), "head")
    assert [group.name for group in groups] == ["p"]
