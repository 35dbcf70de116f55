"""The parts of the regression results: each becomes a text PART.md with its figures."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from experiments import regression_tables as tables
from experiments.experiment import Experiment
from experiments.original_tasks import original_sinusoids
from experiments.regression_bounds import bounds_of
from experiments.regression_figures import (
    plot_fits_of_methods,
    plot_metric,
    plot_robustness,
    plot_update_probabilities,
)
from experiments.regression_plan import (
    ALPHA,
    ALPHAS,
    BASELINES,
    FITTED_ORDERS,
    METHODS,
    ORDERS,
    REDUCED_ITERATIONS,
    REDUCED_SEEDS,
    SHOTS,
    Plan,
)
from experiments.regression_readme import write_text
from experiments.regression_runs import Runs
from experiments.update_metric import observe, relative_error, singular_values_of_changes
from utils.reports.evaluation import fits
from utils.runs.datasets import EVALUATION_SEED

FITTED_SINUSOIDS = 2
METRIC_TASKS = 100
METRIC_LAYER = 1
# Share of the largest singular value below which a direction counts as unused.
UNUSED = 0.01


def write_part(part: str, plan: Plan, runs: Runs, output: Path) -> None:
    """Write a part's text and figures into the folder `output`; its runs are finished."""
    write_text(output / f"{part}.md", _WRITERS[part](plan, runs, output) + "\n")


def table1(plan: Plan, runs: Runs, output: Path) -> str:
    """Table 1 and P(update) of its MT-nets."""
    results = {m: [runs.result(e) for e in plan.table1(m)] for m in METHODS}
    return "\n\n".join(
        [
            "## Table 1: sinusoids",
            f"alpha = {ALPHA:g}, {plan.seeds} seeds. The public code is the paper's authors' "
            "TensorFlow 1 program on the same protocol, one seed.",
            tables.table1(results, SHOTS),
            "P(update) of the MT-nets by layer, mean ± standard deviation over the seeds:",
            tables.update_probabilities({"MT-net": results["MT-net"]}),
        ]
    )


def original_tasks_part(plan: Plan, runs: Runs, output: Path) -> str:
    """Table 1 on the tasks that the original program is evaluated on."""
    episodes = {shot: original_sinusoids(shot) for shot in SHOTS}
    losses: dict[tuple[str, int], list[np.ndarray]] = {}
    for method in METHODS:
        for experiment in plan.table1(method):
            learner, _ = runs.trained(experiment)
            for shot, episode in episodes.items():
                measured = learner.predict_step((0, episode))["loss"][:, 1].numpy()
                losses.setdefault((method, shot), []).append(measured)
    return "\n\n".join(
        [
            "## Table 1 on the original program's own tasks",
            "The same runs, after one inner step on the 600 tasks that the public code draws from "
            f"NumPy's generator with seed 1 (`experiments/original_tasks.py`), {plan.seeds} seeds.",
            tables.original_tasks(losses),
        ]
    )


def table2(plan: Plan, runs: Runs, output: Path) -> str:
    """Table 2 and the robustness curve."""
    results = {
        (method, alpha): [runs.result(e) for e in plan.table2(method, alpha)]
        for method in ("MAML", "MT-net")
        for alpha in ALPHAS
    }
    figures = {key: tables.pool(seeds, 10, 1) for key, seeds in results.items()}
    plot_robustness(output / "robustness", figures)
    return "\n\n".join(
        [
            "## Table 2: robustness to the step size",
            f"Loss after one inner step, K = 10, {plan.seeds} seeds.",
            tables.table2(results, ALPHAS),
            "![loss against step size](robustness.png)",
        ]
    )


def figure4(plan: Plan, runs: Runs, output: Path) -> str:
    """Figure 4."""
    results = {order: [runs.result(e) for e in plan.figure4(order)] for order in ORDERS}
    probabilities = {
        order: [result.update_probability for result in seeds] for order, seeds in results.items()
    }
    plot_update_probabilities(output / "figure4", probabilities)
    return "\n\n".join(
        [
            "## Figure 4: task complexity and changeable parameters",
            f"MT-nets on polynomials, averaged over all logits of the network, {plan.figure4_seeds}"
            " seeds, ± standard deviation over them. By equation (9) sigmoid(zeta) is the "
            "probability that a unit is updated; what section 6.3 prints is its complement.",
            tables.figure4(results),
            "![P(update) against the order](figure4.png)",
            "By layer:",
            tables.update_probabilities({f"order {o}": r for o, r in results.items()}),
        ]
    )


def fits_part(plan: Plan, runs: Runs, output: Path) -> str:
    """Predictions for held-out sinusoids and polynomials, MAML beside MT-net."""

    def predictions(experiment: Experiment) -> list:
        return fits(*runs.trained(experiment), experiment.settings(10))

    shown = {
        method: predictions(plan.sinusoid(method, ALPHA, 0))[:FITTED_SINUSOIDS]
        + [predictions(plan.polynomial(method, order, 0))[0] for order in FITTED_ORDERS]
        for method in ("MAML", "MT-net")
    }
    plot_fits_of_methods(output / "fits", shown)
    orders = " and ".join(map(str, FITTED_ORDERS))
    return "\n\n".join(
        [
            "## Fits",
            f"The first {FITTED_SINUSOIDS} held-out sinusoids and the first held-out polynomials "
            f"of order {orders}: K = 10 support points, the true function and the prediction "
            "before and after 1 and 10 inner steps (M at its mode). Training had one step.",
            "![fits of MAML and MT-net](fits.png)",
        ]
    )


def baselines(plan: Plan, runs: Runs, output: Path) -> str:
    """The oracle and the pretrained network."""
    results = {name: [runs.result(e) for e in plan.baselines(name)] for name in BASELINES}
    return "\n\n".join(
        [
            "## Baselines of the original MAML program",
            "The oracle is given amplitude, frequency and phase beside x; pretraining fits all "
            "tasks at once and is then fine-tuned. Both minimize the loss before adaptation and "
            f"take inner steps of {ALPHA:g} when evaluated. {plan.seeds} seeds.",
            tables.baselines(results, SHOTS),
        ]
    )


def metric_part(plan: Plan, runs: Runs, output: Path) -> str:
    """Equation (24), measured."""
    experiment = plan.sinusoid("MT-net", ALPHA, 0)
    learner, source = runs.trained(experiment)
    settings = experiment.settings(10)
    episode = source.episodes(
        settings.split, EVALUATION_SEED, 0, tasks=METRIC_TASKS, shot=10, query=settings.query
    )
    steps = observe(learner, episode, METRIC_LAYER, mask_seed=EVALUATION_SEED)
    plot_metric(output / "metric", steps)
    singular_values = np.linalg.svd(steps[0].transform, compute_uv=False)
    used = int(np.sum(singular_values_of_changes(steps) > UNUSED))
    plain = np.stack([step.plain for step in steps]).ravel()
    measured = np.stack([step.measured for step in steps]).ravel()
    cosine = plain @ measured / np.linalg.norm(plain) / np.linalg.norm(measured)
    return "\n\n".join(
        [
            "## Section 4, seen: the learned metric and subspace",
            f"Layer {METRIC_LAYER + 1} of the MT-net of seed 0, {METRIC_TASKS} held-out tasks, the "
            "change of its pre-activation y at the support points by the first inner step, its "
            "inputs x fixed.",
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


def bounds(plan: Plan, runs: Runs, output: Path) -> str:
    """The bounds of a shortened run."""
    losses = [runs.result(plan.reduced(seed)).after(1).mean() for seed in REDUCED_SEEDS]
    kept = bounds_of(
        losses,
        run=plan.sinusoid("MT-net", ALPHA, 0).name,
        iterations=REDUCED_ITERATIONS,
        shot=10,
        steps=1,
        seeds=REDUCED_SEEDS,
    )
    write_text(output / "reduced_bounds.json", json.dumps(kept.to_dict(), indent=2) + "\n")
    return "\n\n".join(
        [
            "## Bounds for the test",
            f"The same MT-net after {REDUCED_ITERATIONS:,} iterations has a loss of "
            f"{np.mean(losses):.3f} ± {np.std(losses, ddof=1):.3f} (standard deviation over "
            f"{len(losses)} seeds, K = 10, one step). `tests/experiments/test_reproduction.py` "
            "trains the stored configuration for as long and expects a loss between "
            f"{kept.low:.3f} and {kept.high:.3f} (`reduced_bounds.json`).",
        ]
    )


_WRITERS: dict[str, Callable[[Plan, Runs, Path], str]] = {
    "table1": table1,
    "original_tasks": original_tasks_part,
    "table2": table2,
    "figure4": figure4,
    "fits": fits_part,
    "baselines": baselines,
    "metric": metric_part,
    "bounds": bounds,
}
PARTS = tuple(_WRITERS)
