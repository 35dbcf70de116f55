"""The picture of a prediction: what was learned from, and what was said of each query."""

import logging
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from utils.prediction.predictions import Predictions
from utils.reports.drawable_text import drawable
from utils.reports.plots import save_figure

COLUMNS = 10
CELL = 1.1  # inches
DRAWN = 200  # queries; more would take minutes
LEARNED, ANSWERED = 60, 20  # letters of a class's name that have room

_log = logging.getLogger(__name__)


def plot_contact_sheet(path: Path, predictions: Predictions) -> None:
    """Draw a row of support images for every class, then the queries with class and probability.

    Where the truth is known a prediction is green or red. Of many queries the first are drawn.

    Args:
        path: of the PNG or PDF file.
        predictions: to draw.
    """
    task = predictions.task
    rows = [
        (name, np.flatnonzero(task.support_labels == label))
        for label, name in enumerate(task.classes)
    ]
    queries = min(len(task.query_x), DRAWN)
    if queries < len(task.query_x):
        _log.warning("%s shows the first %d of %d", path, queries, len(task.query_x))
    most = max(len(images) for _, images in rows)
    columns = min(max(most, min(queries, COLUMNS)), 2 * COLUMNS)
    query_rows = -(-queries // columns)
    height = len(rows) + query_rows
    figure = Figure(figsize=(CELL * columns + 1, 1.25 * CELL * height), layout="constrained")
    cells = figure.subplots(height, columns, squeeze=False)
    for axes in cells.flat:
        axes.set_axis_off()
    for row, (name, images) in zip(cells, rows, strict=False):
        _title(row[0], f"learned: {drawable(name, LEARNED)}", at="left")
        for axes, image in zip(row, images, strict=False):
            _show(axes, task.support_x[image])
    for i, axes in enumerate(cells[len(rows) :].flat[:queries]):
        label = predictions.labels[i]
        _show(axes, task.query_x[i])
        color = "black"
        if task.query_labels is not None:
            color = "green" if task.query_labels[i] == label else "red"
        name = drawable(task.classes[label], ANSWERED)
        _title(axes, f"{name}\n{predictions.probabilities[i, label]:.0%}", color=color)
    save_figure(figure, path)


def _title(
    axes: Axes, text: str, at: Literal["left", "center"] = "center", color: str = "black"
) -> None:
    # In a name a "$" is a "$": it begins no formula.
    axes.set_title(text, loc=at, fontsize=7, parse_math=False, color=color)


def _show(axes: Axes, x: np.ndarray) -> None:
    axes.imshow(x, cmap="gray", vmin=0, vmax=1)
