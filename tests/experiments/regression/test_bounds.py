import json

import numpy as np
import pytest
from made_up import losses_of_mean, record

from experiments.regression.bounds import SEEDS, bounds, bounds_of, short_run
from experiments.regression.plan import Plan

PLAN = Plan(seeds=2, networks=1, iterations=60000)


def test_bounds_are_four_standard_deviations_wide():
    kept = bounds_of([1.0, 2.0, 3.0])
    assert (kept.low, kept.high) == (-2.0, 6.0)


def test_bounds_are_those_of_the_short_runs_of_other_seeds(folders, tmp_path):
    for seed in SEEDS:
        experiment = short_run(seed)
        assert experiment.config.seed == seed
        record(experiment, lambda _, s=seed: losses_of_mean(1 + s / 100)).write(folders.records)
    text = bounds(PLAN, folders, tmp_path)
    kept = json.loads((tmp_path / "reduced_bounds.json").read_text())
    losses = [1 + seed / 100 for seed in SEEDS]
    assert kept["losses"] == pytest.approx(losses, rel=1e-4)
    assert kept["low"] == pytest.approx(np.mean(losses) - 4 * np.std(losses, ddof=1), rel=1e-3)
    assert set(SEEDS).isdisjoint(range(PLAN.seeds))
    assert f"{kept['high']:.3f}" in text
