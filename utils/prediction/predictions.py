"""What a model says of the queries of a task."""

import json
from dataclasses import dataclass

import numpy as np

from data_generators.errors import legible
from utils.prediction.tasks import ImageTask

LONGEST = 80  # letters of a name in a table


@dataclass(frozen=True)
class Predictions:
    """The probability of every class for every query.

    Attributes:
        task: that was learned, and whose queries are answered.
        probabilities: [queries, classes].
    """

    task: ImageTask
    probabilities: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """The most likely class of every query."""
        return self.probabilities.argmax(axis=1)

    def to_table(self) -> str:
        """One line a query: name, class and probability, in Markdown."""
        rows = [("image", "class", "probability"), ("---", "---", "---:")]
        rows += [
            (_cell(name), _cell(label), f"{row.max():.3f}") for name, label, row in self._answers()
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        ]
        return "\n".join(f"{line} |" for line in lines)

    def to_json(self) -> str:
        """The same, with every class's probability."""
        classes = self.task.classes
        queries = [
            {
                "image": name,
                "class": label,
                "probability": float(row.max()),
                "probabilities": dict(zip(classes, map(float, row), strict=True)),
            }
            for name, label, row in self._answers()
        ]
        return json.dumps({"classes": classes, "queries": queries}, indent=2)

    def _answers(self) -> list[tuple[str, str, np.ndarray]]:
        """Name, class and probabilities of every query."""
        labels = [self.task.classes[label] for label in self.labels]
        return list(zip(self.task.query_names, labels, self.probabilities, strict=True))


def _cell(text: str) -> str:
    """Of a Markdown table, whose cells end at "|"."""
    return legible(text, LONGEST).replace("|", "\\|")
