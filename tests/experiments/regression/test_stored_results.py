"""The pages that are committed are those of the records beside them, which are all there."""

from pathlib import Path

import pytest

from experiments import runs
from experiments.regression import figure4, table2
from experiments.regression.__main__ import PARTS
from experiments.regression.page import write_page
from experiments.regression.plan import Plan
from experiments.runs import Folders

RESULTS = Path(__file__).parents[3] / "results" / "regression"
ITERATIONS = 60_000
OF_RECORDS = ("table1", "table2", "figure4", "baselines", "bounds")  # the others need the networks


@pytest.mark.parametrize("part", OF_RECORDS)
def test_a_page_is_that_of_its_records(part, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "train", lambda *_, **__: pytest.fail("a record is missing"))
    for module, drawing in ((table2, "plot_robustness"), (figure4, "plot_update_probabilities")):
        monkeypatch.setattr(module, drawing, lambda *_: None)
    folders = Folders(records=RESULTS / "runs", workdir=tmp_path / "work")
    text = PARTS[part](Plan(seeds=3, networks=20, iterations=ITERATIONS), folders, tmp_path)
    assert (RESULTS / f"{part}.md").read_text() == text + "\n"


def test_all_parts_are_on_one_page(tmp_path):
    for part in PARTS:
        (tmp_path / f"{part}.md").write_text((RESULTS / f"{part}.md").read_text())
    command = "python -m experiments.regression"
    write_page(tmp_path, list(PARTS), command=command, iterations=ITERATIONS)
    assert (RESULTS / "README.md").read_text() == (tmp_path / "README.md").read_text()
