"""A short training of one cell of Table 1 lands where several seeds say that it must."""

import json
from pathlib import Path

from experiments.experiment import Experiment
from experiments.regression.bounds import short_run
from experiments.runs import finish

# Written by: python -m experiments.regression (alone: --only=bounds).
BOUNDS = Path(__file__).parents[3] / "results" / "regression" / "reduced_bounds.json"
SEED = 0


def test_a_short_run_gives_a_loss_within_the_stored_bounds(folders):
    bounds = json.loads(BOUNDS.read_text())
    assert SEED not in bounds["seeds"]
    run = Experiment("run", (*bounds["flags"].split(), f"--seed={SEED}"), (bounds["shot"],))
    assert run.flags == short_run(SEED).flags
    loss = finish(run, folders).after(bounds["steps"]).mean()
    assert bounds["low"] < loss < bounds["high"]
