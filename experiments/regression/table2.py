"""Table 2: robustness to the step size."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from experiments.paper import TABLE_2
from experiments.record import Record
from experiments.regression.estimate import Estimate, difference, estimate, signed, verdict
from experiments.regression.figures import COLORS, save_both
from experiments.regression.plan import Plan
from experiments.runs import Folders, finish
from experiments.tables import made_with, markdown, number

ALPHAS = (10.0, 1.0, 0.1, 0.01, 0.001, 0.0001)
METHODS = ("MAML", "MT-net")
Records = Mapping[tuple[str, float], list[Record]]


def table2(plan: Plan, folders: Folders, output: Path) -> str:
    """Table 2 and the robustness curve."""
    records = {
        (method, alpha): [finish(e, folders) for e in plan.sinusoids(method, alpha)]
        for alpha in ALPHAS
        for method in METHODS
    }
    plot_robustness(output / "robustness", _estimates(records))
    return "\n\n".join(
        [
            "## Table 2: robustness to the step size",
            f"Loss after one inner step, K = 10, {plan.seeds} seeds; the difference network by "
            "network and task by task, bold where its interval leaves out 0.",
            losses_table(records),
            "![loss against step size](robustness.png)",
            made_with(record for networks in records.values() for record in networks),
        ]
    )


def _estimates(records: Records) -> dict[tuple[str, float], Estimate]:
    return {key: estimate([r.after(1) for r in networks]) for key, networks in records.items()}


def losses_table(records: Records) -> str:
    """By step size, and at which step size the gap between the methods is widest."""
    estimates, gaps, rows = _estimates(records), {}, []
    for alpha in ALPHAS:
        row = [f"{alpha:g}"]
        for method in METHODS:
            ours, paper = estimates[method, alpha], TABLE_2[method, alpha]
            row += [str(ours), number(ours.median), paper, verdict(ours, paper)]
        maml, mt_net = ([r.after(1) for r in records[method, alpha]] for method in METHODS)
        gaps[alpha] = difference(maml, mt_net)
        rows.append([*row, signed(gaps[alpha])])
    header = ["alpha"]
    for method in METHODS:
        header += [f"{method}, ours", "median", "paper", "against the paper"]
    stopped = [
        f"- {method}, alpha = {alpha:g}, seed {seed}: training met a loss that is not finite at "
        f"iteration {record.diverged_at}; the figures are of iteration {record.iterations}."
        for (method, alpha), networks in records.items()
        for seed, record in enumerate(networks)
        if record.diverged_at is not None
    ]
    table = markdown([*header, "MAML - MT-net"], rows)
    return "\n".join([table, "", f"- {widest_gap(gaps)}", *stopped])


def widest_gap(gaps: Mapping[float, Estimate]) -> str:
    """Say at which step size MT-net is furthest ahead of MAML."""
    unmeasured = [alpha for alpha, gap in gaps.items() if not np.isfinite(gap.mean)]
    if unmeasured:
        at = ", ".join(f"{alpha:g}" for alpha in unmeasured)
        return f"The gap between MAML and MT-net has no number at alpha = {at}: tasks diverged."
    widest = max(gaps, key=lambda alpha: gaps[alpha].mean)
    if gaps[widest].mean <= 0 or not gaps[widest].is_clear:
        return "MT-net is clearly better than MAML at no alpha."
    return f"MT-net's lead over MAML is widest at alpha = {widest:g}: {gaps[widest]}."


def plot_robustness(path: Path, estimates: Mapping[tuple[str, float], Estimate]) -> None:
    """Plot the loss against the step size, ours and the paper's.

    Args:
        path: without suffix.
        estimates: (method, alpha) -> loss after one step; one that is not finite leaves a gap.
    """
    canvas = Figure(figsize=(6, 4), layout="constrained")
    axes = canvas.add_subplot(xscale="log", yscale="log")
    for method in METHODS:
        alphas = sorted(alpha for m, alpha in estimates if m == method)
        ours = [estimates[method, alpha] for alpha in alphas]
        means = np.array([e.mean for e in ours])
        ci95 = np.array([e.ci95 for e in ours])
        # An interval that reaches 0 has no lower end on a logarithmic axis.
        below = np.where(ci95 < means, ci95, 0.0)
        axes.errorbar(
            alphas, np.where(np.isfinite(means), means, np.nan),
            np.nan_to_num([below, ci95], posinf=0.0),
            color=COLORS[method], marker="o", capsize=3, label=f"{method}, ours",
        )  # fmt: skip
        paper = [TABLE_2[method, alpha].split("±") for alpha in alphas]
        axes.errorbar(
            alphas, [float(mean) for mean, _ in paper], [float(ci) for _, ci in paper],
            color=COLORS[method], alpha=0.5, linestyle="--", marker="s", capsize=3,
            label=f"{method}, paper",
        )  # fmt: skip
    axes.set_xlabel("inner step size alpha")
    axes.set_ylabel("mean squared error after one step, K = 10")
    axes.grid(alpha=0.3)
    axes.legend()
    save_both(canvas, path)
