"""Table 1: the loss on sinusoids by method and number of support points."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.paper import TABLE_1
from experiments.record import STORED_STEPS, Record
from experiments.regression.estimate import difference, estimate, signed, verdict
from experiments.regression.plan import ALPHA, METHODS, SHOTS, Plan
from experiments.runs import Folders, finish
from experiments.tables import made_with, markdown, number

PAIRS = (("T-net", "MAML"), ("MT-net", "T-net"), ("MT-net", "MAML"))


def table1(plan: Plan, folders: Folders, output: Path) -> str:
    """Table 1 and P(update) of its MT-nets."""
    records = {m: [finish(e, folders) for e in plan.sinusoids(m)] for m in METHODS}
    losses = {
        (method, shot): [record.after(1, shot) for record in networks]
        for method, networks in records.items()
        for shot in SHOTS
    }
    return "\n\n".join(
        [
            "## Table 1: sinusoids",
            f"Mean squared error after one inner step of networks trained with K = 10 and alpha = "
            f"{ALPHA:g}, {plan.seeds} seeds.",
            losses_table(records),
            "One method minus another after one step, network by network and task by task; bold "
            "where the interval leaves out 0:",
            differences_table(losses),
            "P(update) of the MT-nets by layer, mean ± standard deviation over the seeds:",
            update_probabilities({"MT-net": records["MT-net"]}),
            made_with(record for networks in records.values() for record in networks),
        ]
    )


def losses_table(records: Mapping[str, Sequence[Record]]) -> str:
    """Losses of every method's networks beside the paper's."""
    rows = []
    for method, networks in records.items():
        for shot in SHOTS:
            after = {
                steps: estimate([network.after(steps, shot) for network in networks])
                for steps in STORED_STEPS
            }
            paper = TABLE_1[method, shot]
            rows.append(
                [
                    method,
                    str(shot),
                    str(after[1]),
                    paper,
                    verdict(after[1], paper),
                    ", ".join(map(number, after[1].network_means)),
                    str(after[5]),
                    str(after[10]),
                ]
            )
    header = [
        "method", "K", "ours, 1 step", "paper", "ours against the paper", "every seed's mean",
        "ours, 5 steps", "ours, 10 steps",
    ]  # fmt: skip
    return markdown(header, rows)


def differences_table(losses: Mapping[tuple[str, int], Sequence[np.ndarray]]) -> str:
    """`PAIRS` of methods by K, from (method, K) -> losses of every network's tasks."""
    rows = [
        [f"{first} - {second}"]
        + [signed(difference(losses[first, shot], losses[second, shot])) for shot in SHOTS]
        for first, second in PAIRS
    ]
    return markdown(["", *(f"K = {shot}" for shot in SHOTS)], rows)


def update_probabilities(records: Mapping[str, Sequence[Record]]) -> str:
    """P(update) = sigmoid(zeta) by layer, mean and standard deviation over networks.

    Args:
        records: row label -> networks.
    """
    layers = list(next(iter(records.values()))[0].mask_logits)
    rows = []
    for label, networks in records.items():
        cells = [label]
        for values in (
            *(
                [network.layer_update_probability(layer) for network in networks]
                for layer in layers
            ),
            [network.update_probability for network in networks],
        ):
            cells.append(f"{np.mean(values):.3f} ± {np.std(values):.3f}")
        rows.append(cells)
    return markdown(["", *layers, "all logits"], rows)
