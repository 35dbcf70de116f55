import numpy as np
import pytest
from made_up import losses_of_mean, record

from experiments.regression.plan import METHODS, SHOTS, Plan
from experiments.regression.table1 import table1, update_probabilities

PLAN = Plan(seeds=2, networks=1, iterations=60000)


def cells(text, first):
    """Cells of the tables' rows whose first cell is `first`."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [row for row in rows if row[0] == first]


@pytest.fixture
def text(folders, tmp_path):
    """Of MAML 0.9, Meta-SGD 0.5, T-net 0.4, and MT-net like T-net but at K = 5."""
    means = dict(zip(METHODS, (0.9, 0.5, 0.4, 0.4), strict=True))
    for method, mean in means.items():
        for experiment in PLAN.sinusoids(method):
            better = method == "MT-net"
            record(
                experiment,
                lambda s, m=mean, b=better: losses_of_mean(0.3 if b and s.shot == 5 else m),
                mask_logits={"dense1": np.zeros(3)} if better else {},
            ).write(folders.records)
    return table1(PLAN, folders, tmp_path)


def test_ours_stand_beside_the_papers_with_a_verdict(text):
    assert [(row[1], row[3], row[4]) for row in cells(text, "MAML")] == [
        ("5", "1.07 ± 0.11", "below"),
        ("10", "0.71 ± 0.07", "**above**"),
        ("20", "0.50 ± 0.05", "**above**"),
    ]
    first, *others = cells(text, "MT-net")
    assert first[2].startswith("0.300 ± ")
    assert first[5] == "0.300, 0.300"
    assert len(others) == len(SHOTS)  # and P(update)


def test_methods_are_compared_pair_by_pair(text):
    ((_, five, ten, twenty),) = cells(text, "MT-net - T-net")
    assert five.startswith("**-0.100 ± ")
    assert ten == twenty == "0.000 ± 0.000"
    ((_, five, *_),) = cells(text, "T-net - MAML")
    assert five.startswith("**-0.500 ± ")


def test_versions_and_p_update_are_told(text):
    assert "8 runs, trained with Python version-x, TensorFlow version-x" in text
    assert cells(text, "MT-net")[-1] == ["MT-net", "0.500 ± 0.000", "0.500 ± 0.000"]


def test_update_probabilities_are_by_layer_and_over_all_logits():
    logits = {"dense1": np.zeros(3), "dense2": np.array([40.0])}
    network = record(
        PLAN.sinusoid("MT-net", 0.01, 0), lambda s: np.ones([1, 4]), mask_logits=logits
    )
    (row,) = cells(update_probabilities({"MT-net": [network]}), "MT-net")
    assert row[1:] == ["0.500 ± 0.000", "1.000 ± 0.000", "0.625 ± 0.000"]
