import warnings

import numpy as np
import pytest
from scipy import stats

from utils.reports.summary import summarize


def test_summary_agrees_with_scipy(losses):
    summary = summarize(losses)
    values = losses.astype(np.float64)
    np.testing.assert_allclose(summary.mean, stats.describe(values).mean, rtol=1e-12)
    np.testing.assert_allclose(summary.std, stats.tstd(values, ddof=0), rtol=1e-12)
    low, high = stats.t.interval(0.95, 599, stats.tmean(values, axis=0), stats.sem(values))
    np.testing.assert_allclose(summary.mean - summary.ci95, low)
    np.testing.assert_allclose(summary.mean + summary.ci95, high)
    # What the original programs print.
    np.testing.assert_allclose(summary.ci95, 1.96 * summary.std / 600**0.5, rtol=3e-3)
    assert summary.tasks == 600
    assert not summary.diverged.any()


def test_standard_deviation_is_the_populations():
    summary = summarize(np.array([[1.0], [3.0]]))
    assert summary.std == 1.0


def test_diverged_tasks_are_counted_and_not_left_out():
    values = np.array([[1.0, 2.0, 3.0], [1.0, np.inf, np.nan], [1.0, 2.0, np.inf]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        summary = summarize(values)
    assert summary.diverged.tolist() == [0, 1, 2]
    assert summary.mean[0] == 1.0
    assert np.isinf(summary.mean[1])
    assert np.isnan(summary.mean[2])


@pytest.mark.parametrize("shape", [(11,), (0, 11), (2, 3, 4)])
def test_values_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"\[tasks, steps \+ 1\]"):
        summarize(np.zeros(shape))
