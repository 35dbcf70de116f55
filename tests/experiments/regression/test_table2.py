import warnings

import numpy as np
import pytest
from made_up import losses_of_mean, record
from PIL import Image

from experiments.paper import TABLE_2
from experiments.regression.estimate import Estimate
from experiments.regression.plan import Plan
from experiments.regression.table2 import ALPHAS, METHODS, losses_table, plot_robustness

PLAN = Plan(seeds=1, networks=1, iterations=60000)


def network(method, alpha, mean, diverged_at=None):
    values = losses_of_mean(mean)
    experiment = PLAN.sinusoid(method, alpha, 0)
    return record(experiment, lambda _: values, diverged_at=diverged_at)


@pytest.fixture
def records():
    return {(m, a): [network(m, a, 0.5)] for m in METHODS for a in ALPHAS}


def row(text, first):
    (found,) = (line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return found.strip("| ").split(" | ")


def test_the_widest_gap_is_found(records):
    records["MAML", 0.0001] = [network("MAML", 0.0001, 3.0)]
    records["MAML", 10.0] = [network("MAML", 10.0, 100.0)]
    text = losses_table(records)
    assert "MT-net's lead over MAML is widest at alpha = 10: 99.500 ± " in text
    assert row(text, "10")[3:5] == ["171.92 ± 25.04", "below"]
    assert row(text, "10")[7:9] == ["4.18 ± 0.30", "below"]
    assert row(text, "10")[9].startswith("**+99.500 ± ")
    assert row(text, "1")[9] == "0.000 ± 0.000"


def test_no_lead_is_claimed_within_the_interval(records):
    assert "MT-net is clearly better than MAML at no alpha." in losses_table(records)


def test_runs_whose_training_stopped_are_named_and_no_gap_claimed_without_a_number(records):
    records["MAML", 10.0] = [network("MAML", 10.0, np.nan, diverged_at=56001)]
    text = losses_table(records)
    assert "MAML, alpha = 10, seed 0: training met a loss that is not finite" in text
    assert "iteration 56001; the figures are of iteration 55000" in text
    assert "no number at alpha = 10" in text
    assert "widest" not in text


@pytest.mark.parametrize(
    "changed",
    [
        Estimate(170.0, 20.0, 1.0, 0, ()),
        Estimate(170.0, 300.0, 1.0, 0, ()),
        Estimate(np.nan, np.nan, 1.0, 3, ()),
        Estimate(np.inf, np.nan, 1.0, 3, ()),
    ],
)
def test_the_plot_is_written_as_png_and_pdf_without_a_warning(tmp_path, changed):
    estimates = {key: Estimate(1.0, 0.1, 1.0, 0, (1.0,)) for key in TABLE_2}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_robustness(tmp_path / "plot", estimates | {("MAML", 10.0): changed})
    with Image.open(tmp_path / "plot.png") as image:
        assert np.asarray(image.convert("L")).std() > 5
    assert (tmp_path / "plot.pdf").read_bytes().startswith(b"%PDF")
