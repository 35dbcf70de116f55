"""Tables of means with their 95 % intervals, as Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.record import Record
from utils.reports.intervals import half_width

# What is noted of a start.
VERSIONS = ("python", "tensorflow", "keras", "numpy", "git_commit", "machine")


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the first column is text, the others are figures."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, rule, *rows])


def percent(accuracies: np.ndarray, sign: str = "") -> str:
    """Mean accuracy of one network's tasks [tasks], in %, with its interval.

    Args:
        accuracies: fractions, or with `sign` "+" differences of them.
        sign: "+" to show it.
    """
    ci95 = 100 * float(half_width(accuracies[np.newaxis]))
    interval = "" if np.isnan(ci95) else f" ± {ci95:.2f}"
    return f"{100 * float(np.mean(accuracies)):{sign}.2f}{interval}"


def number(value: float) -> str:
    """Three decimals, or three digits where that is too many."""
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.3g}"


def made_with(records: Iterable[Record]) -> str:
    """The versions and machines behind records, each once, with their commits."""
    records = list(records)
    parts = []
    for what, starts in (
        ("trained", [record.trained_with for record in records]),
        ("measured", [record.measured_with for record in records]),
    ):
        commits: dict[str, dict[str, None]] = {}  # of each stack, in their order
        for start in filter(None, starts):
            stack = versions(
                "Python {python}, TensorFlow {tensorflow}, Keras {keras}, NumPy {numpy}, {machine}",
                start,
            )
            commits.setdefault(stack, {})[_short(versions("{git_commit}", start))] = None
        stacks = "; ".join(
            f"{stack} (commit{'s' * (len(of_stack) > 1)} {', '.join(of_stack)})"
            for stack, of_stack in commits.items()
        )
        parts.append(f"{what} with {stacks}")
    return f"{len(records)} runs, {', '.join(parts)}."


def versions(words: str, start: Mapping[str, Any]) -> str:
    """Words with what is known of a start, such as {python}, in them."""
    return words.format(**dict.fromkeys(VERSIONS, "unknown") | dict(start))


def _short(commit: str) -> str:
    """A commit's number in seven digits, and "-dirty" if its files were changed."""
    number, dash, dirty = commit.partition("-")
    return f"{number[:7]}{dash}{dirty}"
