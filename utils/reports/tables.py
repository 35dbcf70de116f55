"""Tables of statistics over tasks, as Markdown that a terminal shows aligned."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from utils.reports.summary import Summary


@dataclass(frozen=True)
class Column:
    """One column of `format_table`.

    Attributes:
        label: its heading, such as "10-shot".
        summary: its values.
        percent: whether to show fractions as percentages.
        paper: the paper's figure in the same unit, if it has one.
    """

    label: str
    summary: Summary
    percent: bool = False
    paper: str | None = None


def format_table(columns: Sequence[Column], trained_step: int) -> str:
    """Return a Markdown table, one row for every inner step, aligned for a terminal.

    Args:
        columns: of the same number of inner steps.
        trained_step: the number of inner steps of training; its row is marked *.
    """
    steps = len(columns[0].summary.mean)
    rows = [["inner steps", *(column.label for column in columns)]]
    for step in range(steps):
        mark = " *" if step == trained_step else ""
        rows.append([f"{step}{mark}", *(_cell(column, step) for column in columns)])
    if any(column.paper for column in columns):
        rows.append(["paper *", *(column.paper or "" for column in columns)])
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    heading, *body = (_table_line(row, widths) for row in rows)
    rule = _table_line(
        ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])], widths
    )
    tasks = ", ".join(dict.fromkeys(str(column.summary.tasks) for column in columns))
    plural = "" if tasks == "1" else "s"
    note = (
        f"mean ± 95 % interval over {tasks} task{plural}; * the number of inner steps of training"
    )
    return "\n".join([heading, rule, *body, "", note])


def _cell(column: Column, step: int) -> str:
    scale = 100 if column.percent else 1
    digits = 2 if column.percent else 3
    summary = column.summary
    numbers = [scale * float(values[step]) for values in (summary.mean, summary.ci95)]
    if np.isnan(numbers[1]):  # of one task, or where a task diverged
        del numbers[1]
    # Losses that explode but stay finite would fill the screen.
    texts = [f"{x:.{digits}f}" if abs(x) < 1e5 else f"{x:.3g}" for x in numbers]
    if summary.tasks == 1:
        texts.append("n/a")
    diverged = f" ({summary.diverged[step]} diverged)" if summary.diverged[step] else ""
    return " ± ".join(texts) + diverged


def _table_line(cells: Iterable[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.rjust(width) if i else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "| " + " | ".join([first, *others]) + " |"
