import numpy as np
import pytest
from scipy import stats

from experiments.regression.estimate import Estimate, difference, estimate, signed, verdict
from utils.reports.intervals import half_width


@pytest.fixture
def losses():
    """Of three networks, which share their 200 tasks."""
    random = np.random.default_rng(0)
    task = random.gamma(2.0, size=200)
    return [task * random.gamma(20.0, 1 / 20, size=200) + shift for shift in (0.0, 0.1, 0.2)]


def test_an_estimate_is_over_tasks_and_networks(losses):
    found = estimate(losses)
    values = np.stack(losses)
    assert found.mean == pytest.approx(values.mean())
    assert found.ci95 == pytest.approx(half_width(values))
    assert found.ci95 > 1.96 * values.std() / values.size**0.5
    assert found.median == pytest.approx(np.median(values))
    assert found.network_means == pytest.approx(values.mean(axis=1))
    assert str(found) == f"{found.mean:.3f} ± {found.ci95:.3f}"


def test_diverged_tasks_are_shown_and_spoil_the_mean(losses):
    losses[1][:2] = np.nan
    found = estimate(losses)
    assert str(found) == "nan (2 diverged)"
    assert np.isfinite(found.median)
    assert verdict(found, "9.00 ± 0.10") == "**diverged**"


def test_one_task_has_no_interval():
    assert str(estimate([np.array([0.5])])) == "0.500"


def test_a_difference_is_of_the_same_network_and_task(losses):
    better = [0.9 * network for network in losses]
    found = difference(better, losses)
    expected = estimate([-0.1 * network for network in losses])
    assert found.mean == pytest.approx(expected.mean)
    assert found.ci95 == pytest.approx(expected.ci95)
    # Much less than if the networks' values said nothing of one another.
    apart = np.hypot(estimate(better).ci95, estimate(losses).ci95)
    assert found.ci95 < 0.2 * apart
    low, high = stats.ttest_rel(better[0], losses[0]).confidence_interval()
    alone = difference(better[:1], losses[:1])
    assert (alone.mean - alone.ci95, alone.mean + alone.ci95) == pytest.approx((low, high))


def some(mean, ci95):
    return Estimate(mean, ci95, mean, 0, (mean,))


@pytest.mark.parametrize(
    ("mean", "ci95", "expected"),
    [
        (1.0, 0.0, "no clear difference"),
        (1.09, 0.0, "no clear difference"),
        (1.2, 0.1, "**above**"),
        (0.8, 0.1, "below"),
        (1.2, 0.18, "no clear difference"),
        (1.2, 0.17, "**above**"),  # 0.2 > (0.17^2 + 0.1^2)^0.5
    ],
)
def test_verdict_asks_whether_two_means_differ_by_more_than_both_intervals_explain(
    mean, ci95, expected
):
    assert verdict(some(mean, ci95), "1.00 ± 0.10") == expected


def test_clear_differences_are_bold():
    assert signed(some(0.5, 0.1)) == "**+0.500 ± 0.100**"
    assert signed(some(-0.5, 0.1)) == "**-0.500 ± 0.100**"
    assert signed(some(0.5, 0.6)) == "+0.500 ± 0.600"
    assert signed(some(np.nan, np.nan)) == "nan"
