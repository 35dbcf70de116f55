"""The paper's regression tables with our figures beside them, as Markdown.

With several seeds a figure is the mean over the held-out tasks of all seeds, with its 95 % interval
1.96 * std / sqrt(seeds * tasks) over these values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from experiments.regression_runs import STORED_STEPS, Result
from utils.reports.paper import TABLE_1, TABLE_2
from utils.reports.summary import summarize

# The public TF1 code on the same protocol (60,000 iterations, 600 tasks), by (method, K).
PUBLIC_CODE = {
    ("MAML", 5): "0.99 ± 0.10",
    ("MAML", 10): "0.65 ± 0.06",
    ("MAML", 20): "0.47 ± 0.05",
    ("T-net", 5): "0.83 ± 0.08",
    ("T-net", 10): "0.59 ± 0.06",
    ("T-net", 20): "0.41 ± 0.04",
    ("MT-net", 5): "0.78 ± 0.09",
    ("MT-net", 10): "0.51 ± 0.06",
    ("MT-net", 20): "0.37 ± 0.04",
}


@dataclass(frozen=True)
class Figure:
    """A mean over tasks and seeds.

    Attributes:
        mean: over all values.
        ci95: half the width of its 95 % interval.
        median: over all values, a diverged one counting as infinite.
        diverged: number of values that are nan or infinite.
        seed_means: one mean for every seed.
    """

    mean: float
    ci95: float
    median: float
    diverged: int
    seed_means: tuple[float, ...]

    def __str__(self) -> str:
        note = f" ({self.diverged} diverged)" if self.diverged else ""
        return f"{number(self.mean)} ± {number(self.ci95)}{note}"


def pool(results: Sequence[Result], shot: int, steps: int) -> Figure:
    """Summarize the losses of all seeds' tasks after some inner steps."""
    return pool_losses([result.after(steps, shot) for result in results])


def pool_losses(losses: Sequence[np.ndarray]) -> Figure:
    """Summarize the losses of all seeds' tasks, one array [tasks] for every seed."""
    values = np.concatenate(losses)
    summary = summarize(values[:, np.newaxis])
    return Figure(
        mean=float(summary.mean[0]),
        ci95=float(summary.ci95[0]),
        median=float(np.median(np.where(np.isfinite(values), values, np.inf))),
        diverged=int(summary.diverged[0]),
        seed_means=tuple(float(loss.mean()) for loss in losses),
    )


def verdict(ours: Figure, paper: str) -> str:
    """Say whether our mean is at or below the mean of the paper's figure, "mean ± interval"."""
    mean, ci95 = (float(part) for part in paper.split("±"))
    if not np.isfinite(ours.mean):
        return "**diverged**"
    if ours.mean <= mean:
        return "at or below"
    if ours.mean - ours.ci95 <= mean + ci95:
        return "above, intervals overlap"
    return "**above**"


def number(value: float) -> str:
    """Three decimals, or three digits where that is too many."""
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.3g}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column is text, the others are figures."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, rule, *rows])


def table1(results: Mapping[str, Sequence[Result]], shots: Sequence[int]) -> str:
    """Table 1 by method, and whether its order of the methods holds.

    Args:
        results: method -> results of its seeds.
        shots: the numbers K of support points.
    """
    figures = {
        (method, shot, steps): pool(seeds, shot, steps)
        for method, seeds in results.items()
        for shot in shots
        for steps in STORED_STEPS
    }
    rows = [
        [
            method,
            str(shot),
            str(figures[method, shot, 1]),
            TABLE_1[method, shot],
            PUBLIC_CODE.get((method, shot), ""),
            verdict(figures[method, shot, 1], TABLE_1[method, shot]),
            ", ".join(map(number, figures[method, shot, 1].seed_means)),
            str(figures[method, shot, 5]),
            str(figures[method, shot, 10]),
        ]
        for method in results
        for shot in shots
    ]
    header = [
        "method", "K", "ours, 1 step", "paper", "public code", "ours against the paper",
        "every seed's mean", "ours, 5 steps", "ours, 10 steps",
    ]  # fmt: skip
    lines = []
    for better, worse in (("T-net", "MAML"), ("MT-net", "T-net")):
        held = [
            shot for shot in shots if figures[better, shot, 1].mean < figures[worse, shot, 1].mean
        ]
        lines.append(f"- {better} better than {worse} after one step: {_which(held, shots)}.")
    return f"{markdown(header, rows)}\n\n{chr(10).join(lines)}"


def original_tasks(losses: Mapping[tuple[str, int], Sequence[np.ndarray]]) -> str:
    """Losses after one step by method and K, beside the paper's and the public code's figures."""
    figures = {key: pool_losses(seeds) for key, seeds in losses.items()}
    rows = [
        [
            method,
            str(shot),
            str(figure),
            TABLE_1[method, shot],
            PUBLIC_CODE.get((method, shot), ""),
            verdict(figure, TABLE_1[method, shot]),
            ", ".join(map(number, figure.seed_means)),
        ]
        for (method, shot), figure in figures.items()
    ]
    header = [
        "method", "K", "ours, 1 step", "paper", "public code", "ours against the paper",
        "every seed's mean",
    ]  # fmt: skip
    return markdown(header, rows)


def _which(held: Sequence[int], shots: Sequence[int]) -> str:
    if list(held) == list(shots):
        return "at every K"
    return f"at K = {', '.join(map(str, held))} only" if held else "at no K"


def update_probabilities(results: Mapping[str, Sequence[Result]]) -> str:
    """P(update) = sigmoid(zeta) by layer, mean and standard deviation over seeds.

    Args:
        results: row label -> results of its seeds.
    """
    layers = list(next(iter(results.values()))[0].mask_logits)
    rows = []
    for label, seeds in results.items():
        cells = [label]
        for values in (
            *([result.layer_update_probability(layer) for result in seeds] for layer in layers),
            [result.update_probability for result in seeds],
        ):
            cells.append(f"{np.mean(values):.3f} ± {np.std(values):.3f}")
        rows.append(cells)
    return markdown(["", *layers, "all logits"], rows)


def table2(results: Mapping[tuple[str, float], Sequence[Result]], alphas: Sequence[float]) -> str:
    """Table 2, and where the gap between the methods is widest.

    Args:
        results: (method, alpha) -> results of its seeds.
        alphas: step sizes.
    """
    figures = {key: pool(seeds, 10, 1) for key, seeds in results.items()}
    rows = []
    for alpha in alphas:
        row = [f"{alpha:g}"]
        for method in ("MAML", "MT-net"):
            figure, paper = figures[method, alpha], TABLE_2[method, alpha]
            row += [str(figure), number(figure.median), paper, verdict(figure, paper)]
        rows.append([*row, number(figures["MAML", alpha].mean - figures["MT-net", alpha].mean)])
    header = ["alpha"]
    for method in ("MAML", "MT-net"):
        header += [f"{method}, ours", "median", "paper", "against the paper"]
    text = markdown([*header, "MAML - MT-net"], rows)
    stopped = [
        f"- {method}, alpha = {alpha:g}, seed {seed}: training met a loss that is not finite at "
        f"iteration {result.diverged_at}; the figures are of iteration {result.evaluated_at}."
        for (method, alpha), seeds in results.items()
        for seed, result in enumerate(seeds)
        if result.diverged_at is not None
    ]
    return "\n".join([text, "", f"- {widest_gap(figures, alphas)}", *stopped])


def widest_gap(figures: Mapping[tuple[str, float], Figure], alphas: Sequence[float]) -> str:
    """Say at which step size MT-net is furthest ahead of MAML."""
    gaps = {a: figures["MAML", a].mean - figures["MT-net", a].mean for a in alphas}
    unmeasured = [a for a, gap in gaps.items() if not np.isfinite(gap)]
    if unmeasured:
        at = ", ".join(f"{a:g}" for a in unmeasured)
        return f"The gap between MAML and MT-net has no number at alpha = {at}: tasks diverged."
    widest = max(gaps, key=lambda a: gaps[a])
    if gaps[widest] <= 0:
        return "MT-net is better than MAML at no alpha."
    return (
        f"MT-net's lead over MAML is widest at alpha = {widest:g}: "
        f"{number(figures['MAML', widest].mean)} against {number(figures['MT-net', widest].mean)}."
    )


def baselines(results: Mapping[str, Sequence[Result]], shots: Sequence[int]) -> str:
    """The loss of the baselines after 0, 1, 5 and 10 steps of fine-tuning.

    Args:
        results: row label -> results of its seeds.
        shots: the numbers K of support points.
    """
    rows = [
        [label, str(shot), *(str(pool(seeds, shot, steps)) for steps in STORED_STEPS)]
        for label, seeds in results.items()
        for shot in shots
    ]
    header = [
        "network",
        "K",
        *(f"{steps} steps" if steps != 1 else "1 step" for steps in STORED_STEPS),
    ]
    return markdown(header, rows)


def figure4(results: Mapping[int, Sequence[Result]]) -> str:
    """Figure 4's numbers by order, and which of the two formulas grows."""
    probabilities = {
        order: [result.update_probability for result in seeds] for order, seeds in results.items()
    }
    rows = [
        [
            str(order),
            f"{np.mean(values):.3f} ± {np.std(values):.3f}",
            f"{1 - np.mean(values):.3f} ± {np.std(values):.3f}",
            ", ".join(f"{value:.3f}" for value in values),
            str(pool(results[order], 10, 1)),
        ]
        for order, values in probabilities.items()
    ]
    header = [
        "order", "P(update) = sigmoid(zeta)", "printed exp(-zeta)/(exp(-zeta) + 1)",
        "every seed's P(update)", "loss after 1 step, K = 10",
    ]  # fmt: skip
    learned = {
        order: [r.update_probability for r in seeds if learned_the_shape(r, order)]
        for order, seeds in results.items()
        if order > 0
    }
    return "\n\n".join(
        [
            markdown(header, rows),
            which_grows(probabilities),
            "Not every run learned more than a constant: where all units of a hidden layer died "
            "early, nothing but the last bias adapts, and the mask logits stay where they began. "
            "Runs whose loss is a tenth below that of the best constant for each task, by order: "
            + "; ".join(
                f"{order}: {len(v)} of {len(results[order])}" for order, v in learned.items()
            )
            + ".",
            _of_those_that_learned(learned),
        ]
    )


def best_constant_loss(order: int) -> float:
    """Mean squared error of the best constant for each polynomial, in expectation.

    c_i is uniform in [-1, 1], of variance 1/3, and multiplies u^i with u = x/2 uniform in [-1, 1].
    """
    powers = np.arange(1, order + 1)
    variances = 1 / (2 * powers + 1) - np.where(powers % 2 == 0, 1 / (powers + 1) ** 2, 0)
    return float(np.sum(variances) / 3)


def learned_the_shape(result: Result, order: int) -> bool:
    """Whether a run predicts better than constants, by a tenth."""
    return float(np.mean(result.after(1))) < 0.9 * best_constant_loss(order)


def _of_those_that_learned(probabilities: Mapping[int, Sequence[float]]) -> str:
    known = {order: values for order, values in probabilities.items() if values}
    means = ", ".join(f"order {order}: {np.mean(values):.3f}" for order, values in known.items())
    if len(known) < 2 or sum(map(len, known.values())) < 4:
        return f"P(update) of these alone: {means or 'none'}."
    return f"Of these alone, P(update) is {means}. {which_grows(known)}"


def which_grows(probabilities: Mapping[int, Sequence[float]]) -> str:
    """Say which formula grows with the order of the polynomials, sigmoid(zeta) or its complement.

    Judged by the least-squares slope over all seeds' values and its 95 % interval (Student's t).

    Args:
        probabilities: order -> P(update) of every seed.
    """
    orders = [order for order, values in probabilities.items() for _ in values]
    values = [value for seeds in probabilities.values() for value in seeds]
    line = stats.linregress(orders, values)
    ci95 = float(stats.t.ppf(0.975, len(values) - 2) * line.stderr)
    means = [float(np.mean(seeds)) for seeds in probabilities.values()]
    slope = (
        f"slope of sigmoid(zeta) {line.slope:+.4f} ± {ci95:.4f} per order over {len(values)} runs, "
        f"means {', '.join(f'{mean:.3f}' for mean in means)}"
    )
    if abs(line.slope) <= ci95:
        return f"Neither formula clearly grows with the order ({slope})."
    steps = np.diff(means) * np.sign(line.slope)
    always = "at every step" if np.all(steps > 0) else "on the whole, though not at every step"
    probability = "sigmoid(zeta), the probability that a unit IS updated,"
    printed = (
        "the formula printed in the paper, exp(-zeta)/(exp(-zeta) + 1), which is the probability "
        "that it is NOT,"
    )
    grows, falls = (probability, printed) if line.slope > 0 else (printed, probability)
    return f"With the order grows {grows} {always}; {falls} falls ({slope})."
