"""What a model says of `training` in its calls, against what Keras makes of it in training."""

import warnings

import numpy as np
import pytest
from tensorflow import keras

from maml_tnet import MetaLearner

layers = keras.layers


@keras.utils.register_keras_serializable("test_training_argument")
class AtRest(layers.Wrapper):
    """Calls the layer inside it as at inference, whatever it is asked for."""

    def __init__(self, layer, said=False, **kwargs):
        super().__init__(layer, **kwargs)
        self.said = said

    def call(self, x):
        if self.said is False:
            return self.layer(x, training=False)
        return self.layer(x) + (self.layer(x, training=False) if self.said == "both" else 0)

    def get_config(self):
        return {**super().get_config(), "said": self.said}


def batch_norm(rng, **options):
    layer = layers.BatchNormalization(name="norm", **options)
    layer.build([None, 4])
    layer.moving_mean.assign(rng.normal(size=4))
    layer.moving_variance.assign(rng.uniform(1, 2, size=4))
    return layer


def said_by(call):
    """What is warned of when a learner of one layer that is called so is made."""
    inputs = keras.Input([4])
    model = keras.Model(inputs, layers.Dense(1)(call(inputs)))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        learner = MetaLearner(model, update_lr=0.1)
    return model, learner, [str(warning.message) for warning in said]


def test_a_graph_that_says_it_is_at_rest_is_as_in_keras_fit_and_that_is_said(rng):
    base = keras.Sequential([keras.Input([4]), layers.Dense(4), batch_norm(rng)])
    model, learner, (text,) = said_by(lambda x: base(x, training=False))
    assert f"calls {base.name!r} with training=False" in text
    assert "'norm' is by the task's own statistics" in text
    x = rng.normal(size=[6, 4]).astype("float32")
    as_fit = model(x, training=True)
    assert np.max(np.abs(as_fit - model(x))) > 0.1
    learner.compile(loss="mse", run_eagerly=True)
    learned = learner.adapt(x, np.zeros([6, 1]), num_updates=0)
    np.testing.assert_allclose(learned(x), as_fit, rtol=1e-4, atol=1e-5)


def test_chance_that_keras_overrides_is_said_and_nothing_else(rng):
    frozen = batch_norm(rng, trainable=False)
    (text,) = said_by(lambda x: layers.Dropout(0.5, name="drop")(x, training=True))[-1]
    assert "'drop' is not random in evaluate" in text
    base = keras.Sequential([keras.Input([4]), layers.Dropout(0.5, name="drop")])
    (text,) = said_by(lambda x: base(x, training=False))[-1]
    assert "'drop' is random in training" in text
    for call in (
        lambda x: frozen(x, training=False),
        layers.Dropout(0.5),
        lambda x: layers.Dropout(0.5)(x, training=None),
        lambda x: layers.LSTM(3)(layers.Reshape([2, 2])(x), training=False),
        lambda x: layers.BatchNormalization()(x, training=True),
        AtRest(layers.BatchNormalization()),
    ):
        assert said_by(call)[-1] == []


def test_a_layer_of_ones_own_that_says_so_keeps_the_moving_averages(rng):
    norm = batch_norm(rng)
    parts = [keras.Input([4]), layers.Dense(4), AtRest(norm), layers.Dense(1)]
    model = keras.Sequential(parts)
    x = rng.normal(size=[6, 4]).astype("float32")
    np.testing.assert_array_equal(model(x, training=True), model(x))
    learner = MetaLearner(model, update_lr=0.1)
    learner.compile(loss="mse", run_eagerly=True)
    learned = learner.adapt(x, np.zeros([6, 1]), num_updates=0)
    np.testing.assert_allclose(learned(x), model(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(learned.layers[1].layer.moving_mean, norm.moving_mean)
    again = type(learner).from_config(learner.get_config())
    assert again.function.batch_normalizations == []
    with pytest.raises(ValueError, match=r"'norm' is called with training=False by a layer of you"):
        MetaLearner(model, update_lr=0.1, normalize_by="batch")


def test_a_layer_of_ones_own_that_says_nothing_goes_by_the_task(rng):
    inner = keras.Sequential(
        [keras.Input([4]), AtRest(batch_norm(rng), said=None), layers.Dense(1)]
    )
    assert len(MetaLearner(inner, update_lr=0.1).function.batch_normalizations) == 1


def test_a_batch_normalization_that_is_called_both_ways_is_named(rng):
    parts = [keras.Input([4]), AtRest(batch_norm(rng), said="both"), layers.Dense(1)]
    with pytest.raises(ValueError, match=r"'norm' is called with training=False and also without"):
        MetaLearner(keras.Sequential(parts), update_lr=0.1)
