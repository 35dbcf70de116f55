"""How many inner steps a model takes, by validation tasks."""

from collections.abc import Mapping, Sequence

import numpy as np

from experiments.documents import Document
from utils.reports.intervals import half_width


def chosen_steps(validation: Mapping[str, Sequence[Sequence[float]]], trained: int) -> int:
    """The inner steps that the model takes: training's, unless others are clearly better.

    Args:
        validation: accuracies of the same validation tasks, [tasks, steps + 1], with several shots.
        trained: number of inner steps in training.

    Returns:
        the number with the largest mean, if by more than the 95 % interval of the difference.
    """
    if not validation:
        return trained
    accuracies = np.mean([np.array(values) for values in validation.values()], axis=0)
    best = int(np.argmax(np.mean(accuracies, axis=0)))
    gains = accuracies[:, best] - accuracies[:, trained]
    return best if np.mean(gains) > half_width(gains[np.newaxis]) else trained


def measured_after(steps: int, probabilities: Document, trained: int) -> Document:
    """What was measured after this number of steps; version 0.5.0 always took training's."""
    return {
        name: found for name, found in probabilities.items() if found.get("steps", trained) == steps
    }
