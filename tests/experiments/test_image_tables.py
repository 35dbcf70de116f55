"""Comparing runs task by task."""

import numpy as np
import pytest
from made_up import record
from scipy import stats

from experiments.experiment import Experiment
from experiments.image_tables import as_trained, at_mode, cell, differences, steps_table
from experiments.tables import percent

SCALES = {("val", "sample"): 0.0, ("test", "mode"): 0.5, ("test", "sample"): 1.0}


def run(name, random, masks=("sample", "mode")):
    """A run of two inner steps that is 10 points better after two steps than after one."""
    once = random.uniform(0, 0.8, size=50)
    accuracies = np.stack([np.zeros(50), once, once + 0.1], axis=1)
    experiment = Experiment(
        name, ("--datasource=omniglot", "--num_updates=2", "--use_M"), (1,), ("val", "test"), masks
    )
    return record(
        experiment,
        lambda settings: SCALES.get((settings.split, settings.mask), 1.0) * accuracies,
        steps=(0, 1, 2),
    )


@pytest.fixture
def records():
    random = np.random.RandomState(0)
    return {name: run(name, random) for name in ("a", "b")}


def test_a_difference_is_that_of_the_tasks(records):
    *_, row = differences(as_trained(records), [("a", "b")]).splitlines()
    name, shown = row.strip("|").split("|")
    assert name.strip() == "a - b"
    mean, half = map(float, shown.split("±"))
    first, second = (100 * r.find().after(2) for r in records.values())
    low, high = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert mean == pytest.approx((low + high) / 2, abs=0.01)
    assert half == pytest.approx((high - low) / 2, abs=0.01)


def test_pairs_that_are_not_finished_are_left_out(records):
    found = as_trained(records)
    assert differences(found, [("a", "c"), ("c", "b")]) == ""
    assert len(differences(found, [("a", "c"), ("b", "a")]).splitlines()) == 3


def test_masks_at_their_mode_are_another_run(records):
    records["a"] = run("a", np.random.RandomState(0), masks=("sample",))
    drawn = records["b"].find().after(2)
    found = as_trained(records)
    assert set(found) == {"a", "b", at_mode("b")}
    np.testing.assert_allclose(found["b"], drawn)
    np.testing.assert_allclose(found[at_mode("b")], drawn / 2)


def test_cells_are_of_the_trained_step_with_students_interval(records):
    accuracies = 100 * records["a"].find().after(2)
    half = stats.t.ppf(0.975, 49) * stats.sem(accuracies)
    assert cell(records["a"]) == f"{accuracies.mean():.2f} ± {half:.2f}"
    assert cell(records["a"], "val") == "0.00 ± 0.00"
    assert cell(run("c", np.random.RandomState(0), masks=("sample",)), "test", "mode") == ""
    *_, row = steps_table(records).splitlines()
    assert row.startswith("| b | 0.00 ± 0.00 | ")
    assert row.endswith(f" | **{cell(records['b'])}** |")


def test_one_task_has_no_interval():
    assert percent(np.array([0.8])) == "80.00"
