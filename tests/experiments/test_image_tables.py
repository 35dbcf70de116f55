"""Comparing runs task by task."""

import dataclasses

import numpy as np
import pytest
from made_up import record
from scipy import stats

from experiments.experiment import Experiment
from experiments.image_tables import (
    as_trained,
    at_mode,
    cell,
    commands,
    differences,
    steps_table,
)
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


def test_a_cell_may_be_of_the_first_tasks(records):
    accuracies = 100 * records["a"].find().after(2)[:20]
    half = stats.t.ppf(0.975, 19) * stats.sem(accuracies)
    assert cell(records["a"], tasks=20) == f"{accuracies.mean():.2f} ± {half:.2f}"


def test_masks_at_their_mode_have_a_row_of_steps(records):
    rows = steps_table(records, masks=("sample", "mode")).splitlines()[2:]
    names = [row.split(" | ")[0] for row in rows]
    assert names == ["| a", f"| {at_mode('a')}", "| b", f"| {at_mode('b')}"]
    assert rows[1].endswith(f" | **{cell(records['a'], 'test', 'mode')}** |")


def test_the_command_says_what_differed_where_training_went_on(records):
    record = records["a"]
    began = record.trained_with
    later = {"iteration": 400, **began, "git_commit": "another"}
    line = commands({"a": dataclasses.replace(record, went_on_with=[later])})
    assert line.endswith("; went on with iteration 400, git_commit another")
    assert line.startswith("- a: `main.py --datasource=omniglot --num_updates=2 --use_M`; python ")
    assert "went on" not in commands(records)


def test_one_task_has_no_interval():
    assert percent(np.array([0.8])) == "80.00"
