"""Statistics over tasks.

A task whose weights ran away during adaptation has a loss of nan or inf, which then is the mean's
value too: nothing is left out of it silently, and such tasks are counted.
"""

from dataclasses import dataclass

import numpy as np

from utils.reports.intervals import half_width


@dataclass(frozen=True)
class Summary:
    """Statistics over tasks after 0, 1, ... inner steps; every array is [steps + 1].

    Attributes:
        mean: over the tasks.
        std: population standard deviation, as in the original programs.
        ci95: half the width of the mean's 95 % interval, see `intervals`; nan for one task.
        diverged: number of tasks whose value is nan or infinite.
        tasks: number of tasks.
    """

    mean: np.ndarray
    std: np.ndarray
    ci95: np.ndarray
    diverged: np.ndarray
    tasks: int


def summarize(values: np.ndarray) -> Summary:
    """Return the statistics of one value per task and inner step.

    Args:
        values: [tasks, steps + 1].

    Raises:
        ValueError: `values` has another rank or no task.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"values must be [tasks, steps + 1], not empty, got {values.shape}")
    tasks = len(values)
    with np.errstate(invalid="ignore", over="ignore"):
        mean, std = values.mean(axis=0), values.std(axis=0)
    diverged = np.sum(~np.isfinite(values), axis=0)
    return Summary(mean, std, half_width(values[np.newaxis]), diverged, tasks)
