"""Bounds that a short run of one cell of Table 1 must keep, measured over several seeds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

# Standard deviations between the mean over the seeds and a bound.
WIDTH = 4.0


@dataclass(frozen=True)
class Bounds:
    """What the mean loss of a short run may be.

    Attributes:
        run: the stored run whose configuration is trained, shortened.
        iterations: number of iterations.
        shot: support points K of the evaluation.
        steps: inner steps of the evaluation.
        seeds: that the bounds come from.
        losses: one mean loss over the held-out tasks for every seed.
        low: lower bound, mean - `WIDTH` standard deviations over the seeds.
        high: upper bound.
    """

    run: str
    iterations: int
    shot: int
    steps: int
    seeds: tuple[int, ...]
    losses: tuple[float, ...]
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


def bounds_of(
    losses: Sequence[float],
    *,
    run: str,
    iterations: int,
    shot: int,
    steps: int,
    seeds: Sequence[int],
) -> Bounds:
    """Derive the bounds from the seeds' mean losses (sample standard deviation)."""
    mean, std = float(np.mean(losses)), float(np.std(losses, ddof=1))
    return Bounds(
        run=run,
        iterations=iterations,
        shot=shot,
        steps=steps,
        seeds=tuple(seeds),
        losses=tuple(round(loss, 5) for loss in losses),
        low=round(mean - WIDTH * std, 5),
        high=round(mean + WIDTH * std, 5),
    )
