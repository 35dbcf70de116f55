"""Table 1 on the very tasks that the original program is evaluated on, beside its own seeds.

It draws them one by one from NumPy's generator with seed 1, whatever the method, so the paper's
figures and the public code's are likely to be of these 600 sinusoids. Some sets of 600 are easier
than others by several percent.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from scipy import stats

from data_generators import Episode
from experiments.paper import PUBLIC_CODE_MAML, PUBLIC_CODE_TABLE_1, TABLE_1
from experiments.regression.estimate import estimate, verdict
from experiments.regression.plan import METHODS, SHOTS, Plan
from experiments.runs import Folders, trained_run
from experiments.tables import markdown, number

TASKS = 600
QUERY = 10
SEED = 1


def original_sinusoids(shot: int) -> Episode:
    """Draw the original's held-out tasks for `shot` support points.

    The original's sinusoids are A sin(w x - b); turned about the origin, (x, y) -> (-x, -y), they
    are A sin(w x + b) of equation (25).

    Returns:
        [600, shot or 10, 1] tensors.
    """
    random = np.random.RandomState(SEED)
    x = np.empty([TASKS, shot + QUERY, 1])
    y = np.empty_like(x)
    for task in range(TASKS):
        amplitude = random.uniform(0.1, 5.0)
        phase = random.uniform(0.0, np.pi)
        frequency = random.uniform(0.8, 1.2)
        x[task] = random.uniform(-5.0, 5.0, [shot + QUERY, 1])
        y[task] = amplitude * np.sin(frequency * x[task] - phase)
    turned_x, turned_y = tf.constant(-x, tf.float32), tf.constant(-y, tf.float32)
    return Episode(turned_x[:, :shot], turned_y[:, :shot], turned_x[:, shot:], turned_y[:, shot:])


def original_tasks(plan: Plan, folders: Folders, output: Path) -> str:
    """Table 1's networks on the original's tasks."""
    episodes = {shot: original_sinusoids(shot) for shot in SHOTS}
    losses: dict[tuple[str, int], list[np.ndarray]] = {}
    for method in METHODS:
        for experiment in plan.sinusoids(method):
            learner = trained_run(experiment, folders).learner
            for shot, episode in episodes.items():
                measured = learner.predict_step((tf.range(TASKS), episode))["loss"][:, 1].numpy()
                losses.setdefault((method, shot), []).append(measured)
    return "\n\n".join(
        [
            "## Table 1 on the original program's own tasks",
            f"Table 1's networks ({plan.seeds} seeds) after one inner step on the {TASKS} tasks "
            f"that the public code draws from NumPy's generator with seed {SEED}, beside its own "
            "networks (seeds 11 to 15; of MAML one). As the tasks are the same, the "
            "difference of the means has the interval of the networks alone (Welch's t).",
            losses_table(losses),
        ]
    )


def losses_table(losses: Mapping[tuple[str, int], Sequence[np.ndarray]]) -> str:
    """Beside the paper's and the public code's, from (method, K) -> losses of networks' tasks."""
    rows = []
    for (method, shot), networks in losses.items():
        ours, paper = estimate(networks), TABLE_1[method, shot]
        public = PUBLIC_CODE_TABLE_1.get((method, shot))
        if public is None:
            others = [PUBLIC_CODE_MAML.get(shot, "") if method == "MAML" else "", "", ""]
        else:
            others = [
                number(float(np.mean(public))),
                ", ".join(map(number, public)),
                _difference(ours.network_means, public),
            ]
        means = ", ".join(map(number, ours.network_means))
        rows.append([method, str(shot), str(ours), means, *others, paper, verdict(ours, paper)])
    header = [
        "method", "K", "ours", "every seed's mean", "public code", "its seeds",
        "ours - public code", "paper", "ours against the paper",
    ]  # fmt: skip
    return markdown(header, rows)


def _difference(ours: Sequence[float], theirs: Sequence[float]) -> str:
    mean = float(np.mean(ours) - np.mean(theirs))
    if len(ours) < 2:
        return f"{mean:+.3f}"
    low, high = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval()
    return f"{mean:+.3f} ± {(high - low) / 2:.3f}"
