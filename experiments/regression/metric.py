"""Section 4, seen: equation (24) against what an inner step of Table 1's MT-net does."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from experiments.regression.figures import save_both
from experiments.regression.plan import ALPHA, Plan
from experiments.regression.update_metric import (
    LayerStep,
    metric,
    observe,
    relative_error,
    singular_values_of_changes,
)
from experiments.runs import Folders, trained_run

TASKS = 100
LAYER = 1
MASK_SEED = 0
# Share of the largest singular value below which a direction counts as unused.
UNUSED = 0.01


def measured_metric(plan: Plan, folders: Folders, output: Path) -> str:
    """The learned metric and subspace of one layer."""
    experiment = plan.sinusoid("MT-net", ALPHA, 0)
    trained, settings = trained_run(experiment, folders), experiment.settings(10)
    episode = trained.source.held_out(
        settings.split, tf.range(TASKS), shot=settings.shot, query=settings.query
    )
    steps = observe(trained.learner, episode, LAYER, mask_seed=MASK_SEED)
    plot_metric(output / "metric", steps)
    singular_values = np.linalg.svd(steps[0].transform, compute_uv=False)
    used = int(np.sum(singular_values_of_changes(steps) > UNUSED))
    plain = np.stack([step.plain for step in steps]).ravel()
    measured = np.stack([step.measured for step in steps]).ravel()
    cosine = plain @ measured / np.linalg.norm(plain) / np.linalg.norm(measured)
    return "\n\n".join(
        [
            "## Section 4, seen: the learned metric and subspace",
            f"Layer {LAYER + 1} of the MT-net of seed 0, {TASKS} held-out tasks, the change of its "
            "pre-activation y at the support points by the first inner step, its inputs x fixed.",
            f"- Equation (24) predicts the measured change from T and M with a relative error of "
            f"{relative_error(steps):.1e}. The plain gradient step (19) has cosine {cosine:.3f} "
            f"with it and {np.linalg.norm(plain) / np.linalg.norm(measured):.3g} times its norm.\n"
            f"- T, which began as the identity, has singular values from "
            f"{singular_values[-1]:.3g} to {singular_values[0]:.3g}. M lets "
            f"{np.mean([step.mask.sum() for step in steps]):.1f} of {len(steps[0].mask)} units "
            "change, on average.\n"
            f"- {used} of {len(singular_values)} directions of the space of y carry more than "
            f"{100 * UNUSED:g} % of the largest singular value of the changes.",
            "![measured and predicted change, singular values](metric.png)",
        ]
    )


def plot_metric(path: Path, steps: Sequence[LayerStep]) -> None:
    """Plot equation (24) against the measured change of y, and the spectra behind it.

    Args:
        path: without suffix.
        steps: of one layer, for several tasks.
    """
    canvas = Figure(figsize=(13, 4), layout="constrained")
    left, middle, right = canvas.subplots(1, 3)
    measured = np.concatenate([step.measured.ravel() for step in steps])
    for name, color, size in (("plain", "C1", 4), ("predicted", "C0", 6)):
        values = np.concatenate([getattr(step, name).ravel() for step in steps])
        label = {"plain": "without T and M (19)", "predicted": "with T and M (24)"}[name]
        left.scatter(measured, values, s=size, color=color, alpha=0.5, label=label, rasterized=True)
    limit = np.abs(measured).max()
    left.plot([-limit, limit], [-limit, limit], color="black", linewidth=0.8)
    left.set_xlim(-1.1 * limit, 1.1 * limit)
    left.set_ylim(-1.1 * limit, 1.1 * limit)
    left.set_xlabel("measured change of y")
    left.set_ylabel("predicted change of y")
    left.legend(fontsize="small")

    rank = np.arange(1, len(steps[0].mask) + 1)
    middle.plot(rank, np.linalg.svd(steps[0].transform, compute_uv=False), marker=".", label="T")
    masked = [np.linalg.eigvalsh(metric(step.transform, step.mask))[::-1] for step in steps]
    middle.plot(
        rank, np.sqrt(np.clip(np.mean(masked, axis=0), 0, None)), marker=".",
        label="T_M, mean over draws of M",
    )  # fmt: skip
    middle.axhline(1, color="0.5", linestyle=":", label="the identity")
    middle.set_xlabel("rank")
    middle.set_ylabel("singular value")
    middle.legend(fontsize="small")

    right.semilogy(rank, np.maximum(singular_values_of_changes(steps), 1e-8), marker=".")
    right.set_xlabel("rank")
    right.set_ylabel("singular value / largest")
    right.set_title(f"changes of y over {len(steps)} tasks", fontsize="medium")
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
    save_both(canvas, path)
