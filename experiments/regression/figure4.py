"""Figure 4: do harder tasks make MT-nets change more of their weights?

With the paper's initial scale of W all units of a hidden layer may die in the first iterations.
Such a network answers with a constant, its mask logits stay where they began, and its P(update)
says nothing of the order; so runs are added until enough of them have learned more.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from scipy import stats

from experiments.experiment import Experiment
from experiments.paper import PUBLIC_CODE_FIGURE_4
from experiments.record import Record
from experiments.regression.estimate import estimate
from experiments.regression.figures import save_both
from experiments.regression.plan import Plan
from experiments.regression.table1 import update_probabilities
from experiments.runs import TRIAL, Folders, finish
from experiments.tables import made_with, markdown
from maml_tnet import MetaLearner

ORDERS = (1, 2, 3)
PAPERS_SCALE, GLOROT = "the paper's", "Glorot's"
SCALES = (PAPERS_SCALE, GLOROT)
X = np.linspace(-2.0, 2.0, 401, dtype=np.float32)  # the domain of the polynomials
# A network has learned more than a constant if its loss is less than this share of the best one's.
LEARNED = 0.9
Networks = Mapping[int, Sequence[Record]]
"""Order -> networks."""


def figure4(plan: Plan, folders: Folders, output: Path) -> str:
    """P(update) against the order, for both initial scales."""
    constant = [finish(plan.polynomial("MT-net", 0, seed), folders) for seed in range(plan.seeds)]
    trained = {
        scale: {order: list(enough_networks(plan, scale, order, folders)) for order in ORDERS}
        for scale in SCALES
    }
    learned = {
        scale: {order: list(filter(learned_more, networks)) for order, networks in orders.items()}
        for scale, orders in trained.items()
    }
    plot_update_probabilities(
        output / "figure4",
        {
            scale: {o: [n.update_probability for n in ns] for o, ns in orders.items()}
            for scale, orders in learned.items()
        },
    )
    zeros = [network.update_probability for network in constant]
    records = [n for orders in trained.values() for ns in orders.values() for n in ns]
    return "\n\n".join(
        [
            "## Figure 4: task complexity and changeable parameters",
            "MT-nets on polynomials; P(update) = sigmoid(zeta) averaged over all logits of a "
            "network (by equation (9) the probability that a unit is updated; what section 6.3 "
            "prints, exp(-zeta)/(exp(-zeta) + 1), is its complement). Where all units of a hidden "
            "layer died early, nothing but the last bias adapts, and the mask logits stay where "
            "they began. So runs (seeds 0, 1, ...) are added until of every order "
            f"{plan.networks} networks have learned more than a constant: their loss is a tenth "
            "below that of the best constant for each task. A network of which a whole hidden "
            f"layer is dead after {TRIAL:,} iterations is not trained any further. Means of the "
            "networks that learned more, with 95 % intervals (Student's t over networks).",
            networks_table(trained),
            "\n".join(
                f"- W from {scale} initial scale: {slope(learned[scale])}" for scale in SCALES
            ),
            f"Polynomials of order 0 are constants; the {len(zeros)} networks that learned them "
            f"have a mean P(update) of {np.mean(zeros):.3f} ({min(zeros):.3f} to "
            f"{max(zeros):.3f}). The paper's public code ends, too, mostly at constants. P(update) "
            "of its networks (alpha = 0.01, two seeds an order):",
            "\n".join(f"- {what}: {values}" for what, values in PUBLIC_CODE_FIGURE_4.items()),
            "![P(update) against the order](figure4.png)",
            "By layer, the networks that learned more, mean ± standard deviation:",
            update_probabilities(
                {
                    f"{scale} scale, order {order}": networks
                    for scale, orders in learned.items()
                    for order, networks in orders.items()
                    if networks
                }
            ),
            made_with([*constant, *records]),
        ]
    )


def enough_networks(plan: Plan, scale: str, order: int, folders: Folders) -> Iterator[Record]:
    """Runs of the seeds 0, 1, ... until enough of them have learned more than a constant."""
    found = 0
    for seed in itertools.count():
        if found == plan.networks:
            return
        network = finish(network_of(plan, scale, order, seed), folders)
        found += learned_more(network)
        yield network


def network_of(plan: Plan, scale: str, order: int, seed: int) -> Experiment:
    """An MT-net on polynomials with one of the two initial scales."""
    experiment = replace(plan.polynomial("MT-net", order, seed), hopeless=answers_with_a_constant)
    if scale == PAPERS_SCALE:
        return experiment
    return replace(
        experiment, name=f"polynomial{order}-mtnet-glorot-seed{seed}", initialize=glorot_uniform
    )


def glorot_uniform(learner: MetaLearner) -> None:
    """Draw every layer's W again, uniform with Glorot's variance of 2 / (inputs + outputs)."""
    random = np.random.RandomState(learner.seed)
    for layer in learner.network.transform_layers:
        limit = np.sqrt(6 / sum(layer.kernel.shape))
        layer.kernel.assign(random.uniform(-limit, limit, layer.kernel.shape).astype(np.float32))


def answers_with_a_constant(learner: MetaLearner) -> bool:
    """Whether no unit of some hidden layer is active for any input.

    Then no gradient reaches that layer or those before it, nor ever will.
    """
    hidden = tf.constant(X[:, np.newaxis, np.newaxis])
    for layer in learner.network.transform_layers[:-1]:
        weights = [tf.expand_dims(tf.convert_to_tensor(w), -2) for w in (layer.kernel, layer.bias)]
        hidden = tf.nn.relu(layer(hidden, weights))
        if not np.any(hidden.numpy() > 0):
            return True
    return False


def best_constant_loss(order: int) -> float:
    """Mean squared error of the best constant for each polynomial, in expectation.

    c_i is uniform in [-1, 1], of variance 1/3, and multiplies u^i with u = x/2 uniform in [-1, 1].
    """
    powers = np.arange(1, order + 1)
    variances = 1 / (2 * powers + 1) - np.where(powers % 2 == 0, 1 / (powers + 1) ** 2, 0)
    return float(np.sum(variances) / 3)


def learned_more(network: Record) -> bool:
    """Whether a network predicts better than constants, by a tenth."""
    order = network.experiment.config.poly_order
    return float(np.mean(network.after(1))) < LEARNED * best_constant_loss(order)


def networks_table(trained: Mapping[str, Networks]) -> str:
    """How many networks learned, and their P(update) and loss."""
    rows = []
    for scale, orders in trained.items():
        for order, networks in orders.items():
            learned = list(filter(learned_more, networks))
            values = [network.update_probability for network in learned]
            rows.append(
                [
                    scale,
                    str(order),
                    str(len(networks)),
                    str(len(learned)),
                    mean_of_networks(values),
                    f"{min(values):.3f} to {max(values):.3f}" if values else "",
                    str(estimate([n.after(1) for n in learned])) if learned else "",
                    f"{best_constant_loss(order):.3f}",
                ]
            )
    header = [
        "initial scale", "order", "networks", "learned more", "P(update) of these", "from, to",
        "loss after 1 step, K = 10", "loss of the best constants",
    ]  # fmt: skip
    return markdown(header, rows)


def mean_of_networks(values: Sequence[float]) -> str:
    """Mean with its 95 % interval, one independent value for every network."""
    if len(values) < 2:
        return ", ".join(f"{value:.3f}" for value in values)
    ci95 = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{np.mean(values):.3f} ± {ci95:.3f}"


def slope(networks: Networks) -> str:
    """The least-squares slope of P(update) over the order, and what it says.

    With its 95 % interval (Student's t).
    """
    orders = [order for order, found in networks.items() for _ in found]
    values = [n.update_probability for found in networks.values() for n in found]
    if len(set(orders)) < 2 or len(values) < 3:
        return "too few networks for a slope."
    line = stats.linregress(orders, values)
    ci95 = float(stats.t.ppf(0.975, len(values) - 2) * line.stderr)
    text = f"P(update) changes by {line.slope:+.4f} ± {ci95:.4f} an order ({len(values)} networks)"
    if abs(line.slope) <= ci95:
        return f"{text}: no clear change."
    if line.slope > 0:
        return f"{text}: it grows with the order."
    return f"{text}: it falls with the order, and its complement, which the paper prints, grows."


def plot_update_probabilities(
    path: Path, probabilities: Mapping[str, Mapping[int, Sequence[float]]]
) -> None:
    """Plot P(update) of every network, and the means, against the order.

    Args:
        path: without suffix.
        probabilities: initial scale -> order -> P(update) of the networks that learned.
    """
    canvas = Figure(figsize=(4.5 * len(probabilities), 3.5), layout="constrained")
    grid = canvas.subplots(1, len(probabilities), squeeze=False, sharey=True)[0]
    for axes, (scale, orders) in zip(grid, probabilities.items(), strict=True):
        for order, values in orders.items():
            axes.plot([order] * len(values), values, "o", color="C0", alpha=0.3, markersize=4)
        means = {order: float(np.mean(values)) for order, values in orders.items() if values}
        axes.plot(list(means), list(means.values()), "_-", color="black", markersize=16)
        axes.set_title(f"W from {scale} initial scale")
        axes.set_xticks(list(orders))
        axes.set_xlabel("order of the polynomials")
        axes.grid(axis="y", alpha=0.3)
    grid[0].set_ylabel("P(update), mean over all logits")
    save_both(canvas, path)
