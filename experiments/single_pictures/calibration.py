"""What probabilities are worth: calibrated or not, and for pictures that belong to no class."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar

BINS = 15
KEPT = 0.95  # of the pictures that belong to a class
SMALLEST = 1e-37  # of a probability: float32 has none between it and 0


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """How far the likeliest class's probability is from how often that class is right.

    Guo et al., arXiv 1706.04599: over 15 bins of equal width, the difference of the two means,
    weighted by the answers in the bin.

    Args:
        probabilities: [answers, classes].
        labels: the true classes, [answers].
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [np.sum(right[bins == b]) - np.sum(confidence[bins == b]) for b in range(BINS)]
    return float(np.sum(np.abs(gaps)) / len(labels))


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """The softmax of the logits divided by a temperature, from the softmax of the logits."""
    logits = np.log(np.maximum(probabilities, SMALLEST)) / temperature
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def fitted_temperature(answers: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """The temperature that makes the true classes likeliest, within e^-2 and e^2.

    Args:
        answers: sets of (probabilities [answers, classes], labels [answers]), which weigh the same.
    """

    def surprise(log_temperature: float) -> float:
        values = []
        for probabilities, labels in answers:
            p = tempered(probabilities, np.exp(log_temperature))
            of_truth = np.take_along_axis(p, labels[:, np.newaxis], axis=1)
            values.append(-np.mean(np.log(np.maximum(of_truth, SMALLEST))))
        return float(np.mean(values))

    return float(np.exp(minimize_scalar(surprise, bounds=(-2, 2), method="bounded").x))


def margins(probabilities: np.ndarray) -> np.ndarray:
    """The likeliest class's probability minus the next one's."""
    low, high = np.moveaxis(np.sort(probabilities, axis=-1)[..., -2:], -1, 0)
    return high - low


def strangers_kept(known: np.ndarray, strangers: np.ndarray) -> float:
    """The share of strangers above the score that 95 % of the known reach.

    Args:
        known: scores of pictures that belong to a class.
        strangers: of pictures that belong to none.
    """
    return float(np.mean(strangers >= np.quantile(known, 1 - KEPT)))


def strangers_below(known: np.ndarray, strangers: np.ndarray) -> float:
    """How often a stranger's score is below that of a known picture; ties count half."""
    order = np.sort(strangers)
    below = np.searchsorted(order, known, "left") + np.searchsorted(order, known, "right")
    return float(np.mean(below) / (2 * len(order)))
