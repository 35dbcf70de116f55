import numpy as np
import pytest
import tensorflow as tf

from data_generators import Sinusoid
from experiments.regression.update_metric import (
    LayerStep,
    observe,
    relative_error,
    singular_values_of_changes,
)
from maml_tnet import MetaLearner, Regressor
from maml_tnet.losses import squared_error


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def one_step_of_a_linear_layer(rng, units=4, features=3, points=5, alpha=0.1):
    """y = (x W + b) T with loss mean((y - target)^2), derived by hand in W and b."""
    W, b, T = (
        rng.normal(size=(features, units)),
        rng.normal(size=units),
        rng.normal(size=(units,) * 2),
    )
    x, target = rng.normal(size=(points, features)), rng.normal(size=(points, units))
    mask = np.array([1.0, 0.0, 1.0, 1.0])
    y = (x @ W + b) @ T
    dy = 2 * (y - target) / y.size
    dz = dy @ T.T
    new_W = W - alpha * mask * (x.T @ dz)
    new_b = b - alpha * mask * dz.sum(axis=0)
    return LayerStep(T, mask, x, dy, alpha, (x @ new_W + new_b) @ T - y)


def test_equation_24_is_exact_for_a_linear_layer(rng):
    step = one_step_of_a_linear_layer(rng)
    np.testing.assert_allclose(step.predicted, step.measured, rtol=1e-10, atol=1e-14)
    assert relative_error([step]) < 1e-12


def test_plain_gradient_step_is_another_one(rng):
    step = one_step_of_a_linear_layer(rng)
    assert np.linalg.norm(step.plain - step.measured) > 0.1 * np.linalg.norm(step.measured)


def test_changes_stay_in_the_subspace_of_the_mask(rng):
    values = singular_values_of_changes([one_step_of_a_linear_layer(rng) for _ in range(3)][:1])
    assert np.sum(values > 1e-10) == 3


@pytest.fixture
def learner():
    network = Regressor(dim_hidden=8, use_transform=True, mask_per="unit", seed=1)
    rng = np.random.default_rng(2)
    for layer in network.transform_layers:
        layer.kernel.assign(rng.normal(size=layer.kernel.shape) / layer.units**0.5)
        layer.bias.assign(rng.normal(size=layer.units))
        layer.transform.assign(rng.normal(size=layer.transform.shape) / layer.units**0.5)
    learner = MetaLearner(
        network, sample_episode=lambda iteration: None, update_lr=0.05, num_updates=1
    )
    learner.compile(loss=squared_error)
    return learner


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_inner_step_of_an_mt_net_is_predicted_in_every_layer(learner, layer):
    episode = Sinusoid().episodes("test", 0, 0, tasks=6, shot=10, query=10)
    steps = observe(learner, episode, layer, mask_seed=3)
    assert len(steps) == 6
    units = learner.network.transform_layers[layer].units
    assert steps[0].measured.shape == (10, units)
    assert any(np.linalg.norm(step.measured) > 1e-3 for step in steps)
    assert relative_error(steps) < 1e-4
    if units > 1:
        assert {0.0, 1.0} == set(np.concatenate([step.mask for step in steps]))


def test_network_without_masks_is_refused(learner):
    plain = MetaLearner(
        Regressor(dim_hidden=8, use_transform=True),
        sample_episode=learner.sample_episode,
        update_lr=0.05,
        num_updates=1,
    )
    episode = Sinusoid().episodes("test", 0, tf.constant(0), tasks=2, shot=10, query=10)
    with pytest.raises(ValueError, match="must be an MT-net"):
        observe(plain, episode, 1, mask_seed=0)
