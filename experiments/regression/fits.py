"""Predictions for held-out sinusoids and polynomials, MAML beside MT-net."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from experiments.experiment import Experiment
from experiments.regression.figure4 import PAPERS_SCALE, enough_networks, learned_more
from experiments.regression.figures import save_both
from experiments.regression.plan import ALPHA, Plan
from experiments.runs import Folders, trained_run
from utils.reports.evaluation import fits as fits_of_run
from utils.reports.plots import Fit, draw_fit

SINUSOIDS = 2
ORDERS = (1, 3)


def fits(plan: Plan, folders: Folders, output: Path) -> str:
    """The first held-out tasks, fitted by both methods."""

    def shown(experiment: Experiment, tasks: int) -> list[Fit]:
        trained = trained_run(experiment, folders)
        return fits_of_run(trained.learner, trained.source, experiment.settings(10))[:tasks]

    mt_nets = [
        next(filter(learned_more, enough_networks(plan, PAPERS_SCALE, order, folders))).experiment
        for order in ORDERS
    ]
    mamls = [plan.polynomial("MAML", order, 0) for order in ORDERS]
    plot_fits_of_methods(
        output / "fits",
        {
            method: shown(plan.sinusoid(method, ALPHA, 0), SINUSOIDS)
            + [fit for experiment in polynomials for fit in shown(experiment, 1)]
            for method, polynomials in (("MAML", mamls), ("MT-net", mt_nets))
        },
    )
    return "\n\n".join(
        [
            "## Fits",
            f"The first {SINUSOIDS} held-out sinusoids and the first held-out polynomials of order "
            f"{' and '.join(map(str, ORDERS))}: K = 10 support points, the true function and the "
            "prediction before and after 1 and 10 inner steps (M at its mode). Training had one "
            "step. MAML is of seed 0, MT-net of the first seed that learned more than a constant.",
            "![fits of MAML and MT-net](fits.png)",
        ]
    )


def plot_fits_of_methods(path: Path, fits: Mapping[str, Sequence[Fit]]) -> None:
    """Plot tasks in columns, methods in rows.

    Args:
        path: without suffix.
        fits: method -> the same tasks.
    """
    columns = len(next(iter(fits.values())))
    canvas = Figure(figsize=(3.5 * columns, 3 * len(fits)), layout="constrained")
    grid = canvas.subplots(len(fits), columns, squeeze=False, sharex="col", sharey="col")
    for row, (method, tasks) in zip(grid, fits.items(), strict=True):
        for axes, fit in zip(row, tasks, strict=True):
            draw_fit(axes, fit)
        row[0].set_ylabel(method)
    for axes in grid[:-1].flat:
        axes.set_xlabel("")
    canvas.legend(*grid[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    save_both(canvas, path)
