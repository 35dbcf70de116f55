"""The paper's networks as plain Keras models have the meta-gradient of our own fast ones."""

import numpy as np
import pytest
import tensorflow as tf
from random_episodes import image_episode, randomize, regression_episode
from tensorflow import keras

from maml_tnet import ConvNet, MetaLearner, Regressor, losses

layers = keras.layers
OPTIONS = {"update_lr": 0.3, "num_updates": 2, "seed": 3}
pytestmark = pytest.mark.usefixtures("double_precision")


def plain_regressor():
    return keras.Sequential(
        [
            keras.Input([1]),
            layers.Dense(6, activation="relu"),
            layers.Dense(6, activation="relu"),
            layers.Dense(1),
        ]
    )


def plain_conv_net(max_pool):
    parts = [keras.Input([17, 16, 1])]
    for _ in range(4):
        strides = 1 if max_pool else 2
        parts += [
            layers.Conv2D(3, 3, strides=strides, padding="same", use_bias=False),
            layers.BatchNormalization(scale=False),
            layers.ReLU(),
        ]
        parts += [layers.MaxPooling2D()] if max_pool else []
    parts += [layers.Flatten() if max_pool else layers.GlobalAveragePooling2D(), layers.Dense(3)]
    return keras.Sequential(parts)


@pytest.mark.parametrize("kind", ["regressor", "omniglot", "miniimagenet"])
def test_plain_keras_model_has_the_meta_gradient_of_the_fast_network(kind, rng):
    common = {"use_transform": True, "mask_per": "unit", "dtype": "float64"}
    max_pool = kind == "miniimagenet"
    if kind == "regressor":
        fast, plain = Regressor(dim_hidden=6, **common), plain_regressor()
        loss, episode = losses.squared_error, regression_episode(rng)
    else:
        fast = ConvNet((17, 16, 1), 3, num_filters=3, max_pool=max_pool, flatten=max_pool, **common)
        plain, loss = plain_conv_net(max_pool), losses.cross_entropy
        episode = image_episode(rng, (17, 16, 1), query=1)
    randomize(fast, rng)
    ours = MetaLearner(plain, transform=True, mask="unit", normalize_by="batch", **OPTIONS)
    theirs = MetaLearner(fast, sample_episode=lambda i: episode, dtype="float64", **OPTIONS)
    ours.compile(loss=loss)
    theirs.compile(loss=loss)

    pairs = []
    groups = zip(fast.transform_layers, ours.adapting.groups, strict=True)
    for i, (layer, group) in enumerate(groups):
        pairs += zip(
            layer.initial_weights, [weight.variable for weight in group.weights], strict=True
        )
        pairs.append((layer.transform, ours.adapting.transforms[i]))
        pairs.append((layer.mask_logits[0], ours.adapting.mask_logits[i]))
    norms = ours.function.batch_normalizations
    pairs += zip(
        [norm.beta for norm in getattr(fast, "normalizations", [])],
        [norm.beta for norm in norms],
        strict=True,
    )
    assert len(pairs) == len(ours.trainable_variables) == len(theirs.trainable_variables)
    for variable, same in pairs:
        same.assign(variable)

    step = 5
    expected, measures = theirs.meta_gradient(episode, tf.constant([OPTIONS["seed"], step]))
    gradients, query_losses, _ = ours.meta_gradient(episode, tf.constant(step))
    np.testing.assert_allclose(np.mean(query_losses), measures[1], rtol=1e-9)
    of_theirs = dict(zip(map(id, theirs.trainable_variables), expected, strict=True))
    of_ours = dict(zip(map(id, ours.trainable_variables), gradients, strict=True))
    for variable, same in pairs:
        np.testing.assert_allclose(
            of_ours[id(same)], of_theirs[id(variable)], rtol=1e-7, atol=1e-10, err_msg=same.path
        )
