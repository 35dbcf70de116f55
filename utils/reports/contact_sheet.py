"""The picture of a prediction: what was learned from, and what was said of each query."""

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from utils.prediction.predictions import Predictions
from utils.prediction.tasks import SupportSet
from utils.reports.drawable_text import drawable
from utils.reports.plots import own_style, save_figure

# In inches.
SIDE = 1.0  # of a picture
LEAST_SIDE = 0.4  # of a learned one where there are many classes
LEARNED_HEIGHT = 12.0  # of all classes, as long as their pictures are not smaller than that
WIDTH = 11.0  # of a row of pictures
LEAST_WIDTH = 4.0
NAME = 1.8  # to the left of a class
ANSWER = 0.36  # below a query
HEADING = 0.3
GAP = 0.08

FONT = 7  # points
LETTERS = {"name": 28, "answer": 18}  # that have room
DRAWN_CLASSES, DRAWN = 200, 200  # and queries: Matplotlib's pictures have 2^16 pixels at most

_log = logging.getLogger(__name__)


@own_style
def plot_contact_sheet(path: Path, support: SupportSet | None, predictions: Predictions) -> None:
    """Draw the pictures of every class in a row, the classes below one another, then the queries.

    Each query has the likeliest class and its probability below it, in green or red where the truth
    is known. The learned pictures are the smaller, the more classes there are. Of a class with more
    than a row holds the first are drawn, and of many classes and queries.

    Args:
        path: of the PNG or PDF file.
        support: that was learned; None where only the queries are known.
        predictions: to draw.
    """
    rows = [] if support is None else _rows(support)
    if len(rows) > DRAWN_CLASSES:
        _log.warning("%s shows the first %d of %d classes", path, DRAWN_CLASSES, len(rows))
        rows = rows[:DRAWN_CLASSES]
    side = min(SIDE, max(LEAST_SIDE, LEARNED_HEIGHT / max(len(rows), 1) - GAP))
    most = max(map(len, rows), default=0)
    columns = min(most, _fitting(WIDTH, side))
    queries = min(len(predictions.queries.x), DRAWN)
    if queries < len(predictions.queries.x):
        _log.warning("%s shows the first %d of %d", path, queries, len(predictions.queries.x))
    asked = min(queries, _fitting(NAME + WIDTH, SIDE))
    width = max(LEAST_WIDTH, NAME + columns * (side + GAP), asked * (SIDE + GAP) + GAP)
    asked = min(queries, _fitting(width - GAP, SIDE))
    learned_height = HEADING + len(rows) * (side + GAP) if rows else 0.0
    height = learned_height + HEADING + -(-queries // asked) * (SIDE + ANSWER + GAP) + GAP

    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    if rows:
        _heading(axes, "learned", 0)
    for number, images in enumerate(rows):
        top = HEADING + number * (side + GAP)
        middle = top + side / 2
        name = drawable(predictions.classes[number], LETTERS["name"])
        _text(axes, NAME - GAP, middle, name, horizontalalignment="right")
        shown = len(images) if len(images) <= columns else columns - 1
        for column, image in enumerate(images[:shown]):
            _show(axes, image, NAME + column * (side + GAP), top, side)
        if shown < len(images):
            left = NAME + shown * (side + GAP)
            _text(axes, left, middle, f"+ {len(images) - shown}")
    _heading(axes, "classified", learned_height)
    for number in range(queries):
        row, column = divmod(number, asked)
        left = GAP + column * (SIDE + GAP)
        top = learned_height + HEADING + row * (SIDE + ANSWER + GAP)
        _show(axes, predictions.queries.x[number], left, top, SIDE)
        _text(
            axes,
            left + SIDE / 2,
            top + SIDE + ANSWER / 2,
            _answer(predictions, number),
            horizontalalignment="center",
            color=_color(predictions, number),
        )
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    save_figure(figure, path)


def _rows(support: SupportSet) -> list[np.ndarray]:
    """The pictures of every class."""
    return [support.x[support.labels == label] for label in range(len(support.classes))]


def _fitting(width: float, side: float) -> int:
    """How many pictures of a side a row of a width holds."""
    return max(1, math.floor(width / (side + GAP)))


def _answer(predictions: Predictions, query: int) -> str:
    label = predictions.labels[query]
    name = drawable(predictions.classes[label], LETTERS["answer"])
    return f"{name}\n{predictions.probabilities[query, label]:.0%}"


def _color(predictions: Predictions, query: int) -> str:
    truth = predictions.queries.labels
    if truth is None:
        return "black"
    return "green" if truth[query] == predictions.labels[query] else "red"


def _heading(axes: Axes, text: str, top: float) -> None:
    _text(axes, GAP, top + HEADING / 2, text, fontweight="bold")


def _text(axes: Axes, x: float, y: float, text: str, **how: Any) -> None:
    # In a name a "$" is a "$": it begins no formula.
    axes.text(x, y, text, fontsize=FONT, verticalalignment="center", parse_math=False, **how)


def _show(axes: Axes, image: np.ndarray, left: float, top: float, side: float) -> None:
    place = (left, left + side, top + side, top)
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, extent=place, aspect="auto")
