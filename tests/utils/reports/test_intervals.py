"""The intervals against SciPy's, against a simulation of their coverage, and at their edges."""

import warnings

import numpy as np
import pytest
from scipy import stats

from utils.reports.intervals import half_width

TASKS = 600
REPETITIONS = 2000


def test_one_network_has_the_interval_of_students_t():
    values = np.random.default_rng(0).gamma(2.0, size=[1, 40, 3])
    low, high = stats.t.interval(0.95, 39, np.mean(values[0], 0), stats.sem(values[0]))
    np.testing.assert_allclose(half_width(values), (high - low) / 2)


def test_networks_that_are_equal_add_nothing():
    one = np.random.default_rng(0).gamma(2.0, size=[1, 40])
    np.testing.assert_allclose(half_width(np.repeat(one, 4, axis=0)), half_width(one))


def test_networks_that_differ_in_their_mean_alone_have_students_t_of_their_means():
    means = np.array([1.0, 1.3, 0.9])
    values = np.repeat(means[:, np.newaxis], 40, axis=1)
    low, high = stats.t.interval(0.95, 2, means.mean(), stats.sem(means))
    np.testing.assert_allclose(half_width(values), (high - low) / 2)


def losses(networks, network_std, random):
    """Skewed losses of mean 1 whose correlation between networks is about 0.8, as measured.

    A network is worse than another by a factor, on all tasks alike.
    """
    task = random.gamma(1.0, size=[1, TASKS])
    rest = random.gamma(20.0, 1 / 20, size=[networks, TASKS])
    return task * rest * (1 + network_std * random.normal(size=[networks, 1]))


def independent(values):
    """As if no value said anything of another: 1.96 * std / sqrt(networks * tasks)."""
    return 1.96 * values.std() / np.sqrt(values.size)


def coverage(interval, networks, network_std):
    random = np.random.default_rng(1)
    held = 0
    for _ in range(REPETITIONS):
        values = losses(networks, network_std, random)
        held += abs(values.mean() - 1) <= interval(values)
    return held / REPETITIONS


def test_simulated_networks_are_correlated_as_trained_ones_are():
    values = losses(3, 0.05, np.random.default_rng(0))
    correlations = np.corrcoef(values)[np.triu_indices(3, 1)]
    assert np.all((correlations > 0.76) & (correlations < 0.95))


@pytest.mark.parametrize("networks", [2, 3, 5])
@pytest.mark.parametrize("network_std", [0.0, 0.05, 0.1])  # measured: 0.04 to 0.1
def test_the_interval_covers_the_mean_as_often_as_it_says(networks, network_std):
    assert 0.93 <= coverage(half_width, networks, network_std) <= 0.97


@pytest.mark.parametrize("networks", [2, 3, 5])
@pytest.mark.parametrize("network_std", [0.0, 0.05, 0.1])
def test_the_interval_of_independent_values_covers_it_far_too_seldom(networks, network_std):
    assert coverage(independent, networks, network_std) < 0.88


@pytest.mark.parametrize("tasks", [4, 20, 600])
def test_the_interval_of_one_network_holds_for_few_tasks_too(tasks):
    values = np.random.default_rng(2).normal(size=[REPETITIONS, 1, tasks])
    held = [abs(v.mean()) <= half_width(v) for v in values]
    assert 0.93 <= np.mean(held) <= 0.97


def test_a_single_task_has_no_interval():
    assert np.isnan(half_width(np.ones([1, 1])))
    assert np.isnan(half_width(np.ones([3, 1, 2]))).all()


def test_a_value_that_is_not_finite_leaves_no_interval():
    values = np.ones([2, 5, 3])
    values[0, 1, 1], values[1, 2, 2] = np.nan, np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = half_width(values)
    assert found[0] == 0
    assert np.isnan(found[1:]).all()


@pytest.mark.parametrize("shape", [(5,), (0, 5), (1, 0)])
def test_values_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"\[networks, tasks, \.\.\.\]"):
        half_width(np.ones(shape))
