"""The figures of the regression results, each as PNG and PDF."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure as Canvas

from experiments.regression_tables import Figure
from experiments.update_metric import LayerStep, metric, singular_values_of_changes
from utils.reports.paper import TABLE_2
from utils.reports.plots import Fit, draw_fit, save_figure

COLORS = {"MAML": "C1", "MT-net": "C0"}


def save_both(canvas: Canvas, path: Path) -> None:
    """Write `path`.png and `path`.pdf."""
    for suffix in (".png", ".pdf"):
        save_figure(canvas, path.with_name(path.name + suffix))


def plot_robustness(path: Path, figures: Mapping[tuple[str, float], Figure]) -> None:
    """Plot Table 2: the loss against the step size, ours and the paper's.

    Args:
        path: without suffix.
        figures: (method, alpha) -> loss after one step; one that is not finite leaves a gap.
    """
    canvas = Canvas(figsize=(6, 4), layout="constrained")
    axes = canvas.add_subplot(xscale="log", yscale="log")
    for method, color in COLORS.items():
        alphas = sorted(alpha for m, alpha in figures if m == method)
        ours = [figures[method, alpha] for alpha in alphas]
        means = np.array([f.mean for f in ours])
        ci95 = np.array([f.ci95 for f in ours])
        axes.errorbar(
            alphas, np.where(np.isfinite(means), means, np.nan), np.nan_to_num(ci95, posinf=0.0),
            color=color, marker="o", capsize=3, label=f"{method}, ours",
        )  # fmt: skip
        paper = [TABLE_2[method, alpha].split("±") for alpha in alphas]
        axes.errorbar(
            alphas, [float(mean) for mean, _ in paper], [float(ci) for _, ci in paper],
            color=color, alpha=0.5, linestyle="--", marker="s", capsize=3, label=f"{method}, paper",
        )  # fmt: skip
    axes.set_xlabel("inner step size alpha")
    axes.set_ylabel("mean squared error after one step, K = 10")
    axes.grid(alpha=0.3)
    axes.legend()
    save_both(canvas, path)


def plot_update_probabilities(path: Path, probabilities: Mapping[int, Sequence[float]]) -> None:
    """Plot Figure 4: P(update) against the order, beside the formula printed in the paper.

    Args:
        path: without suffix.
        probabilities: order -> P(update) of every seed; error bars are standard deviations.
    """
    canvas = Canvas(figsize=(9, 3.5), layout="constrained")
    orders = list(probabilities)
    means = np.array([np.mean(values) for values in probabilities.values()])
    stds = np.array([np.std(values) for values in probabilities.values()])
    for axes, values, title in zip(
        canvas.subplots(1, 2),
        (means, 1 - means),
        ("P(update) = sigmoid(zeta)", "printed: exp(-zeta) / (exp(-zeta) + 1)"),
        strict=True,
    ):
        axes.bar(orders, values, yerr=stds, capsize=4, color="C0", alpha=0.7)
        axes.set_title(title)
        axes.set_xticks(orders)
        axes.set_xlabel("order of the polynomials")
        axes.set_ylabel("mean over all logits")
        axes.grid(axis="y", alpha=0.3)
    save_both(canvas, path)


def plot_fits_of_methods(path: Path, fits: Mapping[str, Sequence[Fit]]) -> None:
    """Plot tasks in columns, methods in rows.

    Args:
        path: without suffix.
        fits: method -> the same tasks.
    """
    columns = len(next(iter(fits.values())))
    canvas = Canvas(figsize=(3.5 * columns, 3 * len(fits)), layout="constrained")
    grid = canvas.subplots(len(fits), columns, squeeze=False, sharex="col", sharey="col")
    for row, (method, tasks) in zip(grid, fits.items(), strict=True):
        for axes, fit in zip(row, tasks, strict=True):
            draw_fit(axes, fit)
        row[0].set_ylabel(method)
    for axes in grid[:-1].flat:
        axes.set_xlabel("")
    canvas.legend(*grid[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    save_both(canvas, path)


def plot_metric(path: Path, steps: Sequence[LayerStep]) -> None:
    """Plot equation (24) against the measured change of y, and the spectra behind it.

    Args:
        path: without suffix.
        steps: of one layer, for several tasks.
    """
    canvas = Canvas(figsize=(13, 4), layout="constrained")
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
