"""Plots of evaluations, as files that appear complete or not at all.

Figures are made without pyplot, so nothing here depends on a display or changes global state.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from system.atomic_file import atomic_write
from utils.reports.summary import Summary

# Whatever matplotlibrc a user has: with its text.usetex, for one, nothing is drawn without LaTeX.
own_style = matplotlib.style.context("default")

PREDICTION_COLORS = ("#bfbfbf", "#7fa8d9", "#1f4e9c")  # from light to dark as a task is learned


@dataclass(frozen=True)
class Fit:
    """How one regression task is learned.

    Attributes:
        support_x: [support], the inputs it is learned from.
        support_y: [support], their targets.
        x: [points], inputs in any order.
        true_y: [points], the task's function there.
        predictions: number of inner steps -> [points], predictions after them.
    """

    support_x: np.ndarray
    support_y: np.ndarray
    x: np.ndarray
    true_y: np.ndarray
    predictions: Mapping[int, np.ndarray]


@own_style
def plot_adaptation(
    path: Path,
    summaries: Mapping[str, Summary],
    trained_step: int,
    ylabel: str,
    *,
    log_scale: bool = False,
) -> None:
    """Plot means against the number of inner steps, with their 95 % intervals as bands.

    Args:
        path: of the PNG file.
        summaries: the curves by label; values of diverged tasks leave gaps.
        trained_step: the number of inner steps of training, marked by a line.
        ylabel: what the values are.
        log_scale: of the y axis, for losses; values that are not positive leave gaps.
    """
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for i, (label, summary) in enumerate(summaries.items()):
        _plot_curve(axes, label, summary, f"C{i}", log_scale)
    axes.axvline(trained_step, color="0.5", linestyle=":", label="trained number of steps")
    if log_scale and any(_shown(summary, log_scale).any() for summary in summaries.values()):
        axes.set_yscale("log")  # which an empty plot cannot have
    axes.set_xlabel("inner steps")
    axes.set_xticks(range(max(len(summary.mean) for summary in summaries.values())))
    axes.set_ylabel(ylabel)
    axes.grid(alpha=0.3)
    axes.legend()
    save_figure(figure, path)


@own_style
def plot_fits(path: Path, fits: Sequence[Fit]) -> None:
    """Plot regression tasks side by side: support points, true function and predictions."""
    figure = Figure(figsize=(4 * len(fits), 3.5), layout="constrained")
    all_axes = figure.subplots(1, len(fits), squeeze=False, sharey=True)[0]
    for axes, fit in zip(all_axes, fits, strict=True):
        draw_fit(axes, fit)
    all_axes[0].set_ylabel("y")
    all_axes[0].legend(fontsize="small")
    save_figure(figure, path)


def _plot_curve(axes: Axes, label: str, summary: Summary, color: str, log_scale: bool) -> None:
    shown = _shown(summary, log_scale)
    mean = np.where(shown, summary.mean, np.nan)
    ci95 = np.where(np.isfinite(summary.ci95), summary.ci95, np.nan)
    low = mean - ci95
    if log_scale:
        # An interval that reaches 0 has no lower end on a logarithmic axis.
        low = np.where(low <= 0, mean, low)
    steps = np.arange(len(mean))
    axes.plot(steps, mean, color=color, marker="o", markersize=3, label=label)
    axes.fill_between(steps, low, mean + ci95, color=color, alpha=0.2, linewidth=0)


def _shown(summary: Summary, log_scale: bool) -> np.ndarray:
    """Which inner steps have a place on the axes, bool [steps + 1]."""
    finite = np.isfinite(summary.mean)
    return finite & (summary.mean > 0) if log_scale else finite


def draw_fit(axes: Axes, fit: Fit) -> None:
    """Draw one task: support points, true function and predictions."""
    order = np.argsort(fit.x)
    x = fit.x[order]
    axes.plot(x, fit.true_y[order], color="black", linestyle="--", label="true function")
    for i, (steps, prediction) in enumerate(sorted(fit.predictions.items())):
        color = PREDICTION_COLORS[min(i, len(PREDICTION_COLORS) - 1)]
        axes.plot(x, prediction[order], color=color, label=_steps_label(steps))
    axes.scatter(
        fit.support_x, fit.support_y, color="crimson", marker="^", zorder=3, label="support points"
    )
    axes.set_xlabel("x")
    axes.grid(alpha=0.3)


def _steps_label(steps: int) -> str:
    if steps == 0:
        return "before adaptation"
    return f"after {steps} step{'s' if steps > 1 else ''}"


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as the kind of file that the suffix of `path` says: .png or .pdf."""
    kind = path.suffix.removeprefix(".").lower()
    undated = {"CreationDate": None} if kind == "pdf" else None
    with atomic_write(path) as file:
        figure.savefig(file, format=kind, metadata=undated)
