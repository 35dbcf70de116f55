"""Bounds that a short run of one cell of Table 1 must keep, measured over several seeds."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from experiments.experiment import Experiment
from experiments.regression.plan import METHODS, Plan
from experiments.runs import Folders, finish
from system.atomic_file import write_text

ITERATIONS = 3000
# Others than the tables' seeds, so that the test of a table's run is not one that made its bounds.
SEEDS = (100, 101, 102, 103, 104, 105)
# Standard deviations between the mean over the seeds and a bound.
WIDTH = 4.0


@dataclass(frozen=True)
class Bounds:
    """What the mean loss of a short run may be.

    Attributes:
        flags: of `main.py`, but for the seed.
        shot: support points K of the evaluation.
        steps: inner steps of the evaluation.
        seeds: that the bounds come from.
        losses: one mean loss over the held-out tasks for every seed.
        low: lower bound, mean - `WIDTH` standard deviations over the seeds.
        high: upper bound.
    """

    flags: str
    shot: int
    steps: int
    seeds: tuple[int, ...]
    losses: tuple[float, ...]
    low: float
    high: float


def short_run(seed: int) -> Experiment:
    """A short run of Table 1's MT-net."""
    flags = (*METHODS["MT-net"], f"--metatrain_iterations={ITERATIONS}", f"--seed={seed}")
    return Experiment(f"reduced-mtnet-seed{seed}", flags)


def bounds(plan: Plan, folders: Folders, output: Path) -> str:
    """Measure the bounds and write reduced_bounds.json."""
    losses = [float(finish(short_run(seed), folders).after(1).mean()) for seed in SEEDS]
    kept = bounds_of(losses)
    write_text(output / "reduced_bounds.json", json.dumps(asdict(kept), indent=2) + "\n")
    return "\n\n".join(
        [
            "## Bounds for the test",
            f"The MT-net of Table 1 after {ITERATIONS:,} iterations has a loss of "
            f"{np.mean(losses):.3f} ± {np.std(losses, ddof=1):.3f} (standard deviation over "
            f"{len(losses)} seeds, K = 10, one step). "
            "`tests/experiments/regression/test_reproduction.py` trains another seed for as long "
            f"and expects a loss between {kept.low:.3f} and {kept.high:.3f} "
            "(`reduced_bounds.json`).",
        ]
    )


def bounds_of(losses: Sequence[float]) -> Bounds:
    """Derive the bounds from the seeds' mean losses (sample standard deviation)."""
    mean, std = float(np.mean(losses)), float(np.std(losses, ddof=1))
    return Bounds(
        flags=" ".join(short_run(0).flags[:-1]),
        shot=10,
        steps=1,
        seeds=SEEDS,
        losses=tuple(round(loss, 5) for loss in losses),
        low=round(mean - WIDTH * std, 5),
        high=round(mean + WIDTH * std, 5),
    )
