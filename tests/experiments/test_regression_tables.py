import re

import numpy as np
import pytest

from experiments.regression_runs import STORED_STEPS, Result, sigmoid
from experiments.regression_tables import (
    best_constant_loss,
    figure4,
    pool,
    table1,
    table2,
    update_probabilities,
    verdict,
    which_grows,
)

METHODS = ("MAML", "Meta-SGD", "T-net", "MT-net")
ALPHAS = (10.0, 1.0, 0.1, 0.01, 0.001, 0.0001)


def result(mean, shots=(10,), mask_logits=None, diverged_at=None):
    """Made-up losses that have this mean exactly after one step."""
    spread = np.linspace(-0.5, 0.5, 101)[:, np.newaxis] * mean
    losses = mean + spread * np.ones(len(STORED_STEPS))
    return Result(
        losses={shot: losses.copy() for shot in shots},
        mask_logits=mask_logits or {},
        diverged_at=diverged_at,
        evaluated_at=55000,
        seconds=1.0,
        versions={},
    )


def cells(text, first):
    """Cells of the table's rows whose first cell is `first`."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [row for row in rows if row[0] == first]


def test_pooled_figure_is_over_the_tasks_of_all_seeds():
    figure = pool([result(1.0), result(3.0)], 10, 1)
    values = np.concatenate([result(1.0).losses[10][:, 1], result(3.0).losses[10][:, 1]])
    assert figure.mean == pytest.approx(2.0)
    assert figure.ci95 == pytest.approx(1.96 * values.std() / 202**0.5)
    assert figure.seed_means == pytest.approx((1.0, 3.0))


def test_diverged_tasks_are_shown_and_spoil_the_mean():
    broken = result(1.0)
    broken.losses[10][:2, 1] = np.nan
    figure = pool([broken], 10, 1)
    assert "(2 diverged)" in str(figure)
    assert np.isfinite(figure.median)
    assert verdict(figure, "9.00 ± 0.10") == "**diverged**"


@pytest.mark.parametrize(
    ("mean", "expected"),
    [
        (0.99, "at or below"),
        (1.0, "at or below"),
        (1.02, "above, intervals overlap"),
        (2.0, "**above**"),
    ],
)
def test_verdict_compares_with_the_papers_mean(mean, expected):
    assert verdict(pool([result(mean)], 10, 1), "1.00 ± 0.01") == expected


def test_table_1_has_ours_beside_the_papers_and_a_verdict():
    results = {
        method: [result(mean, (5, 10, 20))]
        for method, mean in zip(METHODS, (0.9, 0.5, 0.4, 0.3), strict=True)
    }
    text = table1(results, (5, 10, 20))
    assert [(row[1], row[3], row[5]) for row in cells(text, "MAML")] == [
        ("5", "1.07 ± 0.11", "at or below"),
        ("10", "0.71 ± 0.07", "**above**"),
        ("20", "0.50 ± 0.05", "**above**"),
    ]
    assert all(row[2].startswith("0.300 ± ") for row in cells(text, "MT-net"))
    assert "MT-net better than T-net after one step: at every K." in text


def test_table_1_says_where_the_order_of_the_methods_fails():
    results = {method: [result(0.5, (5, 10))] for method in METHODS}
    results["MT-net"][0].losses[5][:, 1] -= 0.1
    text = table1(results, (5, 10))
    assert "T-net better than MAML after one step: at no K." in text
    assert "MT-net better than T-net after one step: at K = 5 only." in text


def test_table_2_finds_the_widest_gap():
    results = {(m, a): [result(0.5)] for m in ("MAML", "MT-net") for a in ALPHAS}
    results["MAML", 0.0001] = [result(3.0)]
    results["MAML", 10.0] = [result(100.0)]
    text = table2(results, ALPHAS)
    assert "widest at alpha = 10: 100.000 against 0.500" in text
    (row,) = cells(text, "10")
    assert row[3:5] == ["171.92 ± 25.04", "at or below"]
    assert row[7:] == ["4.18 ± 0.30", "at or below", "99.500"]


def test_table_2_names_runs_whose_training_stopped_and_claims_no_gap_without_a_number():
    results = {(m, a): [result(0.5)] for m in ("MAML", "MT-net") for a in ALPHAS}
    results["MAML", 10.0] = [result(0.5), result(np.nan, diverged_at=56001)]
    text = table2(results, ALPHAS)
    assert "MAML, alpha = 10, seed 1: training met a loss that is not finite" in text
    assert "iteration 56001; the figures are of iteration 55000" in text
    assert "no number at alpha = 10" in text
    assert "widest" not in text


def noisy(means, noise=0.01):
    return {
        order: [mean + noise * offset for offset in (-1, 0.5, 0.5, 0.2, -0.2)]
        for order, mean in enumerate(means)
    }


def test_the_formula_that_grows_is_named():
    up = which_grows(noisy([0.1, 0.2, 0.3, 0.4]))
    down = which_grows(noisy([0.4, 0.3, 0.2, 0.1]))
    assert up.startswith("With the order grows sigmoid(zeta)")
    assert down.startswith("With the order grows the formula printed in the paper")
    assert "at every step;" in up
    assert "+0.1000" in up
    assert "-0.1000" in down


def test_growth_that_is_not_steady_is_called_so():
    assert "not at every step" in which_grows(noisy([0.1, 0.3, 0.29, 0.5]))


def test_no_growth_is_claimed_within_the_noise():
    assert which_grows(noisy([0.20, 0.21, 0.20, 0.21], 0.1)).startswith("Neither formula")


def test_figure_4_shows_both_formulas_as_complements():
    logits = {"dense1": np.array([-1.0, 2.0]), "dense2": np.array([0.5])}
    results = {order: [result(0.1, mask_logits=logits)] * 2 for order in range(4)}
    probability = np.mean(1 / (1 + np.exp([1.0, -2.0, -0.5])))
    row = cells(figure4(results), "2")[0]
    assert float(re.match(r"[\d.]+", row[1])[0]) == pytest.approx(probability, abs=1e-3)
    assert float(re.match(r"[\d.]+", row[2])[0]) == pytest.approx(1 - probability, abs=1e-3)


def test_figure_4_counts_the_runs_that_learned_more_than_a_constant():
    def seeds(order, losses, logit):
        scale = best_constant_loss(order) if order else 1.0
        return [result(loss * scale, mask_logits={"dense1": np.array([logit])}) for loss in losses]

    results = {
        0: seeds(0, [0.0, 0.0], 0.0),
        1: seeds(1, [1.1, 0.5, 0.5], 1.0),
        2: seeds(2, [0.6, 0.89, 0.91], 2.0),
        3: seeds(3, [1.0, 1.0, 1.0], 0.0),
    }
    text = figure4(results)
    assert "by order: 1: 2 of 3; 2: 2 of 3; 3: 0 of 3." in text
    assert "P(update) is order 1: 0.731, order 2: 0.881." in text


def test_update_probabilities_are_by_layer_and_over_all_logits():
    logits = {"dense1": np.array([0.0, 0.0, 0.0]), "dense2": np.array([40.0])}
    (row,) = cells(update_probabilities({"MT-net": [result(0.1, mask_logits=logits)]}), "MT-net")
    assert row[1:] == ["0.500 ± 0.000", "1.000 ± 0.000", "0.625 ± 0.000"]


def test_sigmoid_does_not_overflow():
    np.testing.assert_allclose(sigmoid(np.array([-1000.0, 0.0, 1000.0])), [0.0, 0.5, 1.0])


@pytest.mark.parametrize("order", [1, 2, 3])
def test_best_constant_loss_is_that_of_drawn_polynomials(order):
    rng = np.random.default_rng(0)
    x = np.linspace(-2, 2, 2001)
    coefficients = rng.uniform(-1, 1, size=[20000, order + 1]) / 2.0 ** np.arange(order + 1)
    y = coefficients @ x ** np.arange(order + 1)[:, np.newaxis]
    assert best_constant_loss(order) == pytest.approx(y.var(axis=1).mean(), rel=0.03)
