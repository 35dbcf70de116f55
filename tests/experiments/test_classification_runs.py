"""Comparing runs task by task."""

import numpy as np
import pytest
from scipy import stats

from experiments.classification_runs import (
    as_trained,
    at_mode,
    differences,
    read_document,
    write_document,
)
from experiments.experiment import Experiment


def run(name, random):
    """A run of two inner steps that is 10 points better after two steps than after one."""
    once = random.uniform(0, 0.8, size=50)
    accuracies = np.stack([np.zeros(50), once, once + 0.1], axis=1)
    evaluations = [
        {"settings": {"split": split, "mask": mask}, "accuracy": (scale * accuracies).tolist()}
        for split, mask, scale in (
            ("val", "sample", 0),
            ("test", "mode", 0.5),
            ("test", "sample", 1),
        )
    ]
    experiment = Experiment(name, ("--datasource=omniglot", "--num_updates=2"), shots=(1,))
    return experiment, {"evaluations": evaluations}


@pytest.fixture
def documents():
    random = np.random.RandomState(0)
    return dict(run(name, random) for name in ("a", "b"))


def test_a_difference_is_that_of_the_tasks(documents):
    *_, row, empty = differences(as_trained(documents), [("a", "b")])
    assert not empty
    name, cell = row.strip("|").split("|")
    assert name.strip() == "a - b"
    mean, half = map(float, cell.split("±"))
    first, second = (
        100 * np.array(d["evaluations"][2]["accuracy"])[:, 2] for d in documents.values()
    )
    paired = stats.ttest_rel(first, second)
    # The t distribution's quantile and the sample's deviation are a little larger.
    low, high = paired.confidence_interval(0.95)
    assert mean == pytest.approx((low + high) / 2, abs=0.01)
    assert half == pytest.approx((high - low) / 2, rel=0.05)
    assert half < (high - low) / 2


def test_pairs_that_are_not_finished_are_left_out(documents):
    assert differences(as_trained(documents), [("a", "c"), ("c", "b")]) == []
    assert len(differences(as_trained(documents), [("a", "c"), ("b", "a")])) == 4


def test_masks_at_their_mode_are_another_run(documents):
    only_drawn, both = documents.values()
    only_drawn["evaluations"] = only_drawn["evaluations"][2:]
    drawn = 100 * np.array(both["evaluations"][2]["accuracy"])[:, 2]
    found = as_trained(documents)
    assert set(found) == {"a", "b", at_mode("b")}
    np.testing.assert_allclose(found["b"], drawn)
    np.testing.assert_allclose(found[at_mode("b")], drawn / 2)


@pytest.mark.parametrize("content", ["", "{", "[]", "1", "null"])
def test_a_damaged_document_is_none(tmp_path, content):
    file = tmp_path / "document.json"
    assert read_document(file) is None
    file.write_text(content)
    assert read_document(file) is None
    write_document(file, {"accuracy": [0.5]})
    assert read_document(file) == {"accuracy": [0.5]}
