import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from made_up import losses_of_mean, record

from experiments.regression import figure4 as part
from experiments.regression.figure4 import (
    GLOROT,
    ORDERS,
    PAPERS_SCALE,
    answers_with_a_constant,
    best_constant_loss,
    figure4,
    glorot_uniform,
    mean_of_networks,
    network_of,
    slope,
)
from experiments.regression.plan import Plan
from experiments.runs import TRIAL, finish
from utils.runs.assembly import build_learner, build_source
from utils.runs.datasets import EVALUATION_BATCH

PLAN = Plan(seeds=2, networks=3, iterations=60000)


def network(scale, order, seed, share, probability):
    """With this share of the best constant's loss, and this P(update)."""
    mean = share * best_constant_loss(order) if order else 0.0
    logits = {"dense1": np.full(4, np.log(probability / (1 - probability)))}
    experiment = network_of(PLAN, scale, order, seed)
    return record(experiment, lambda _: losses_of_mean(mean), mask_logits=logits)


def networks(probabilities):
    return {o: [network(GLOROT, o, 0, 0.5, p) for p in ps] for o, ps in probabilities.items()}


def test_runs_are_added_until_enough_have_learned_more_than_a_constant(
    folders, tmp_path, monkeypatch
):
    for seed in range(PLAN.seeds):
        network(PAPERS_SCALE, 0, seed, 0, 0.5).write(folders.records)
    for order in ORDERS:
        for seed, share in enumerate((1.1, 0.5, 0.95, 0.89, 0.6)):
            dead = share > 0.9
            network(PAPERS_SCALE, order, seed, share, 0.5 if dead else 0.8).write(folders.records)
        for seed in range(3):
            network(GLOROT, order, seed, 0.5, 0.3 + 0.1 * order + 0.01 * seed).write(
                folders.records
            )

    def asked_for(experiment, folders):
        asked.append(experiment.name)
        return finish(experiment, folders)

    asked: list[str] = []
    monkeypatch.setattr(part, "finish", asked_for)
    text = figure4(PLAN, folders, tmp_path)
    assert len(asked) == PLAN.seeds + 3 * 5 + 3 * 3
    assert "| the paper's | 2 | 5 | 3 | 0.800 ± 0.000 | 0.800 to 0.800 |" in text
    assert "| Glorot's | 3 | 3 | 3 | 0.610 ± 0.025 | 0.600 to 0.620 |" in text
    assert "W from the paper's initial scale: P(update) changes by" in text
    assert "W from Glorot's initial scale: P(update) changes by +0.1000 ± " in text
    assert "0.872 (order 3) and 0.890" in text
    for suffix in (".png", ".pdf"):
        assert (tmp_path / "figure4").with_suffix(suffix).stat().st_size > 1000


def test_the_slope_says_what_it_shows():
    offsets = (-0.01, 0.0, 0.01)
    up = slope(networks({o: [0.5 + 0.1 * o + d for d in offsets] for o in ORDERS}))
    down = slope(networks({o: [0.9 - 0.1 * o + d for d in offsets] for o in ORDERS}))
    flat = slope(networks({o: [0.6 + 0.01 * o + 20 * d for d in offsets] for o in ORDERS}))
    # Residuals of variance 6e-4 / 7, spread of the orders 6, Student's t of 7 degrees 2.365.
    assert up.startswith("P(update) changes by +0.1000 ± 0.0089 an order")
    assert up.endswith("(9 networks): it grows with the order.")
    assert down.startswith("P(update) changes by -0.1000 ± ")
    assert "its complement, which the paper prints, grows" in down
    assert flat.endswith("no clear change.")
    assert slope(networks({1: [0.5, 0.6, 0.7], 2: []})) == "too few networks for a slope."


def test_the_slopes_interval_covers_it():
    random = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        drawn = {
            o: np.clip(0.5 + 0.05 * o + 0.05 * random.normal(size=20), 0.01, 0.99) for o in ORDERS
        }
        found = {o: [SimpleNamespace(update_probability=p) for p in ps] for o, ps in drawn.items()}
        _, interval = slope(found).split("changes by ")
        center, half = interval.split(" an order")[0].split(" ± ")
        held += abs(float(center) - 0.05) <= float(half)
    assert 0.92 <= held / 300 <= 0.98


def test_means_of_networks_have_students_interval():
    assert mean_of_networks([0.5, 0.7]) == "0.600 ± 1.271"
    assert mean_of_networks([0.5]) == "0.500"
    assert mean_of_networks([]) == ""


@pytest.mark.parametrize("order", [1, 2, 3])
def test_best_constant_loss_is_that_of_drawn_polynomials(order):
    rng = np.random.default_rng(0)
    x = np.linspace(-2, 2, 401)
    coefficients = rng.uniform(-1, 1, size=[20000, order + 1]) / 2.0 ** np.arange(order + 1)
    y = coefficients @ x ** np.arange(order + 1)[:, np.newaxis]
    assert best_constant_loss(order) == pytest.approx(y.var(axis=1).mean(), rel=0.03)


@pytest.fixture
def learner():
    config = network_of(PLAN, PAPERS_SCALE, 1, 0).config
    return build_learner(config, build_source(config, None, ""))


def test_glorots_scale_is_that_of_its_definition(learner):
    glorot_uniform(learner)
    kernels = [layer.kernel.numpy() for layer in learner.network.transform_layers]
    again = [kernel.copy() for kernel in kernels]
    for kernel in kernels:
        limit = np.sqrt(6 / sum(kernel.shape))
        assert 0.9 * limit < np.abs(kernel).max() <= limit
    assert kernels[1].var() == pytest.approx(2 / 80, rel=0.1)
    glorot_uniform(learner)
    for kernel, same in zip(learner.network.transform_layers, again, strict=True):
        np.testing.assert_array_equal(kernel.kernel.numpy(), same)


def test_a_network_with_a_dead_layer_answers_with_a_constant(learner):
    first, second, _ = learner.network.transform_layers
    x = np.linspace(-2, 2, 9, dtype=np.float32).reshape([1, 9, 1])

    def answers():
        return learner.adapt_and_predict(x, np.sin(x), x, 5).numpy()

    glorot_uniform(learner)
    assert not answers_with_a_constant(learner)
    assert np.ptp(answers()) > 1e-3
    for layer in (second, first):
        glorot_uniform(learner)
        layer.bias.assign(np.full(40, -100.0))
        assert answers_with_a_constant(learner)
        assert np.ptp(answers()) == 0
        layer.bias.assign(np.zeros(40))


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("dead", [True, False])
def test_a_dead_network_is_left_after_the_trial(folders, monkeypatch, dead):
    monkeypatch.setattr("experiments.runs.TRIAL", 1)
    asked = []

    def hopeless(learner):
        asked.append(learner)
        return dead

    monkeypatch.setattr(part, "answers_with_a_constant", hopeless)
    plan = Plan(seeds=1, networks=1, iterations=2)
    experiment = network_of(plan, GLOROT, 1, 0)
    experiment = replace(experiment, flags=(*experiment.flags, "--num_test_tasks=5"))
    monkeypatch.setitem(EVALUATION_BATCH, "polynomial", 5)
    found = finish(experiment, folders)
    assert found.iterations == (1 if dead else 2)
    assert len(asked) == 1
    stored = json.loads((folders.records / f"{experiment.name}.json").read_text())
    assert stored["iterations"] == found.iterations
    assert finish(experiment, folders).iterations == found.iterations
    assert len(asked) == 1
    assert TRIAL == 5000
