"""95 % intervals of a mean over tasks, and over networks that share their tasks.

Held-out tasks are the same for every network, so their values are correlated: another set of tasks
would move all networks' means alike, another set of networks the mean of every task. Both count.
"""

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


def half_width(values: np.ndarray) -> np.ndarray:
    """Half the width of the 95 % interval of the mean over networks and tasks.

    Of the two-way random effects model, value = mean + network + task + rest, the variance of the
    mean over s networks and n tasks is estimated in two parts: the variance of the tasks' means
    over n, and what the networks' means vary by more than the rest explains, over s. Each part has
    its own quantile of Student's t (n - 1 and s - 1 degrees of freedom); the squares add up. With
    one network the interval is for that network.

    Args:
        values: [networks, tasks, ...].

    Returns:
        [...]; nan for a single task, of whose like nothing is known, and where a value is not
        finite.

    Raises:
        ValueError: there is no value.
    """
    values = np.asarray(values, np.float64)
    if values.ndim < 2 or values.size == 0:
        raise ValueError(f"values must be [networks, tasks, ...], not empty, got {values.shape}")
    networks, tasks = values.shape[:2]
    if tasks == 1:
        return np.full(values.shape[2:], np.nan)
    with np.errstate(invalid="ignore", over="ignore"):
        of_tasks, of_networks = values.mean(axis=0), values.mean(axis=1)
        squares = (_quantile(tasks) ** 2 / tasks) * of_tasks.var(axis=0, ddof=1)
        if networks > 1:
            rest = values - of_tasks - of_networks[:, np.newaxis] + values.mean(axis=(0, 1))
            rest_variance = np.sum(rest**2, axis=(0, 1)) / ((networks - 1) * (tasks - 1))
            variance = of_networks.var(axis=0, ddof=1) - rest_variance / tasks
            squares += (_quantile(networks) ** 2 / networks) * np.maximum(variance, 0)
        return np.sqrt(squares)


def _quantile(count: int) -> float:
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1))
