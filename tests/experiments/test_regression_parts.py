import json
import re

import numpy as np
import pytest

from experiments.regression_parts import PARTS, write_part
from experiments.regression_plan import Plan
from experiments.regression_readme import describe_machines, write_readme
from experiments.regression_runs import STORED_STEPS, Result

VERSIONS = dict.fromkeys(
    ("python", "tensorflow", "keras", "numpy", "git_commit", "machine"), "version-x"
)
FROM_RESULTS_ALONE = ("table1", "table2", "figure4", "baselines", "bounds")


class MadeUpRuns:
    def result(self, experiment):
        rng = np.random.default_rng(experiment.config.seed)
        return Result(
            losses={
                shot: rng.gamma(2.0, size=(20, len(STORED_STEPS))) for shot in experiment.shots
            },
            mask_logits={name: rng.normal(size=3) for name in ("dense1", "dense2", "dense3")},
            diverged_at=None,
            evaluated_at=60000,
            seconds=30.0,
            versions=VERSIONS,
        )


@pytest.fixture
def plan():
    return Plan(seeds=2, figure4_seeds=3, iterations=60000)


def test_page_embeds_what_the_parts_wrote(tmp_path, plan):
    runs = MadeUpRuns()
    for part in FROM_RESULTS_ALONE:
        write_part(part, plan, runs, tmp_path)
    results = [runs.result(experiment) for experiment in plan.of_part("table1")]
    made_by = describe_machines(results)
    write_readme(tmp_path, PARTS, command="the command", iterations=60000, made_by=made_by)
    page = (tmp_path / "README.md").read_text()
    assert "the command" in page
    assert "8 runs, 4.0 minutes" in page
    assert "TensorFlow version-x" in page
    headings = re.findall(r"^## (\w+)", page, re.M)
    assert headings == ["Table", "Table", "Figure", "Baselines", "Bounds"]
    images = re.findall(r"\]\((.*?)\)", page)
    assert images == ["robustness.png", "figure4.png"]
    assert all((tmp_path / image).exists() for image in images)


def test_bounds_name_the_run_that_the_test_shortens(tmp_path, plan):
    write_part("bounds", plan, MadeUpRuns(), tmp_path)
    bounds = json.loads((tmp_path / "reduced_bounds.json").read_text())
    assert bounds["run"] in {experiment.name for experiment in plan.of_part("table1")}
    assert len(bounds["losses"]) == len(bounds["seeds"]) > 3
    assert bounds["low"] < min(bounds["losses"]) <= max(bounds["losses"]) < bounds["high"]
