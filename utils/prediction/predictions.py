"""Images to learn from, and what a model says of others."""

import json
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Examples:
    """Images to learn from.

    Attributes:
        classes: names of the classes.
        names: of the images.
        x: float32 [images, height, width, channels].
        labels: the class of every image.
    """

    classes: list[str]
    names: list[str]
    x: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Predictions:
    """What a model says of images.

    Attributes:
        support: the images it learned from.
        names: of the images classified.
        x: float32 [images, height, width, channels].
        probabilities: [images, classes].
        truth: the class of every image, where it is known.
    """

    support: Examples
    names: list[str]
    x: np.ndarray
    probabilities: np.ndarray
    truth: np.ndarray | None = None

    @property
    def labels(self) -> np.ndarray:
        """The most likely class of every image."""
        return self.probabilities.argmax(axis=1)

    def to_table(self) -> str:
        """One line an image: name, class and probability, in Markdown."""
        rows = [("image", "class", "probability"), ("---", "---", "---:")]
        rows += [
            (name, self.support.classes[label], f"{row[label]:.3f}")
            for name, label, row in zip(self.names, self.labels, self.probabilities, strict=True)
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
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
                "class": self.support.classes[label],
                "probability": float(row[label]),
                "probabilities": dict(zip(self.support.classes, map(float, row), strict=True)),
            }
            for name, label, row in zip(self.names, self.labels, self.probabilities, strict=True)
        ]
        return json.dumps({"classes": self.support.classes, "queries": queries}, indent=2)
