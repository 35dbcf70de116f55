"""Means over held-out tasks and networks, and what can be said of them beside another's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.tables import number
from utils.reports.intervals import half_width


@dataclass(frozen=True)
class Estimate:
    """A mean over tasks and networks.

    Attributes:
        mean: over all values.
        ci95: half the width of its 95 % interval, over tasks and networks; nan if there is none.
        median: over all values, a diverged one counting as infinite.
        diverged: number of values that are nan or infinite.
        network_means: one mean for every network.
    """

    mean: float
    ci95: float
    median: float
    diverged: int
    network_means: tuple[float, ...]

    def __str__(self) -> str:
        interval = "" if np.isnan(self.ci95) else f" ± {number(self.ci95)}"
        note = f" ({self.diverged} diverged)" if self.diverged else ""
        return f"{number(self.mean)}{interval}{note}"

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return abs(self.mean) > self.ci95


def estimate(values: Sequence[np.ndarray]) -> Estimate:
    """Of one array [tasks] for every network, over the same tasks."""
    stacked = np.stack(values).astype(np.float64)
    finite = np.isfinite(stacked)
    with np.errstate(invalid="ignore", over="ignore"):
        return Estimate(
            mean=float(stacked.mean()),
            ci95=float(half_width(stacked)),
            median=float(np.median(np.where(finite, stacked, np.inf))),
            diverged=int(np.sum(~finite)),
            network_means=tuple(float(tasks.mean()) for tasks in stacked),
        )


def difference(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> Estimate:
    """By how much the first's values are larger, network by network and task by task.

    Networks of one seed are a pair: they learned from the same tasks.
    """
    return estimate([a - b for a, b in zip(first, second, strict=True)])


def signed(change: Estimate) -> str:
    """A difference with its sign; in bold where its interval leaves out 0."""
    text = f"+{change}" if change.mean > 0 else str(change)
    return f"**{text}**" if change.is_clear else text


def verdict(ours: Estimate, theirs: str) -> str:
    """Say whether our mean differs from "mean ± interval" by more than both intervals explain.

    The half widths of independent means add up as the sides of a right triangle do.
    """
    mean, ci95 = (float(part) for part in theirs.split("±"))
    if not np.isfinite(ours.mean):
        return "**diverged**"
    if abs(ours.mean - mean) <= np.hypot(ours.ci95, ci95):
        return "no clear difference"
    return "below" if ours.mean < mean else "**above**"
