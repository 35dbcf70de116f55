"""What a model says of the queries of a task."""

import json
from dataclasses import dataclass

import numpy as np

from data_generators.errors import legible
from utils.prediction.tasks import Queries

LONGEST = 80  # letters of a name in a table


@dataclass(frozen=True)
class Predictions:
    """The probability of every class for every query.

    Attributes:
        classes: names of the classes.
        queries: that are answered.
        probabilities: [queries, classes].
    """

    classes: list[str]
    queries: Queries
    probabilities: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """The most likely class of every query."""
        return self.probabilities.argmax(axis=1)

    @property
    def margins(self) -> np.ndarray:
        """The likeliest class's probability minus that of the next, [queries]."""
        second, first = np.sort(self.probabilities, axis=1)[:, -2:].T
        return first - second

    def to_table(self) -> str:
        """One line a query: name, class, probability and margin, in Markdown."""
        rows = [("image", "class", "probability", "margin"), ("---", "---", "---:", "---:")]
        rows += [
            (_cell(name), _cell(label), f"{row.max():.3f}", f"{margin:.3f}")
            for name, label, row, margin in self._answers()
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        ]
        return "\n".join(f"{line} |" for line in lines)

    def to_json(self) -> str:
        """The same, with every class's probability."""
        queries = [
            {
                "image": name,
                "class": label,
                "probability": float(row.max()),
                "margin": float(margin),
                "probabilities": dict(zip(self.classes, map(float, row), strict=True)),
            }
            for name, label, row, margin in self._answers()
        ]
        return json.dumps({"classes": self.classes, "queries": queries}, indent=2)

    def _answers(self) -> list[tuple[str, str, np.ndarray, float]]:
        """Name, class, probabilities and margin of every query."""
        labels = [self.classes[label] for label in self.labels]
        return list(zip(self.queries.names, labels, self.probabilities, self.margins, strict=True))


def _cell(text: str) -> str:
    """Of a Markdown table, whose cells end at "|"."""
    return legible(text, LONGEST).replace("|", "\\|")
