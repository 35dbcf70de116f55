"""What an evaluation found: statistics over tasks, as a table and as CSV and JSON files.

A task whose weights ran away during adaptation has a loss of nan or inf, which then is the mean's
value too: nothing is left out of it silently. Tables say how many tasks diverged. JSON has no such
numbers: there they are null, and "diverged" counts them for every inner step.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data_generators.atomic_file import atomic_write
from utils.config import Config
from utils.flags import EvaluationSettings
from utils.intervals import half_width


@dataclass(frozen=True)
class Summary:
    """Statistics over tasks after 0, 1, ... inner steps; every array is [steps + 1].

    Attributes:
        mean: over the tasks.
        std: population standard deviation, as in the original programs.
        ci95: half the width of the mean's 95 % interval, see `intervals`; nan for one task.
        diverged: number of tasks whose value is nan or infinite.
        tasks: number of tasks.
    """

    mean: np.ndarray
    std: np.ndarray
    ci95: np.ndarray
    diverged: np.ndarray
    tasks: int


def summarize(values: np.ndarray) -> Summary:
    """Return the statistics of one value per task and inner step.

    Args:
        values: [tasks, steps + 1].

    Raises:
        ValueError: `values` has another rank or no task.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"values must be [tasks, steps + 1], not empty, got {values.shape}")
    tasks = len(values)
    with np.errstate(invalid="ignore", over="ignore"):
        mean, std = values.mean(axis=0), values.std(axis=0)
    diverged = np.sum(~np.isfinite(values), axis=0)
    return Summary(mean, std, half_width(values[np.newaxis]), diverged, tasks)


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
    note = f"mean ± 95 % interval over {tasks} tasks; * the number of inner steps of training"
    return "\n".join([heading, rule, *body, "", note])


def write_report(
    folder: Path,
    name: str,
    *,
    config: Config,
    iteration: int,
    settings: EvaluationSettings,
    losses: np.ndarray,
    accuracies: np.ndarray | None = None,
    versions: Mapping[str, str],
) -> tuple[Path, Path]:
    """Write an evaluation as `name`.csv and `name`.json, each complete or not at all.

    The CSV file has the original programs' layout, with a first column that names the row: mean,
    std and ci95 of the accuracy, or of the loss in regression. The JSON file has everything.

    Args:
        folder: made if need be.
        name: of the files, without suffix.
        config: of the trained run.
        iteration: after which its weights are.
        settings: of the evaluation.
        losses: [tasks, steps + 1].
        accuracies: [tasks, steps + 1], fractions; None in regression.
        versions: of the libraries, by name.

    Returns:
        the paths of the CSV and of the JSON file.

    Raises:
        OSError: the files cannot be written; earlier ones of that name are as they were.
    """
    measures = {"loss": losses} | ({} if accuracies is None else {"accuracy": accuracies})
    summaries = {measure: summarize(values) for measure, values in measures.items()}
    report = {
        "method": config.method,
        "configuration": config.to_dict(),
        "iteration": iteration,
        "settings": asdict(settings),
        "versions": dict(versions),
    } | {
        measure: {
            "mean": _finite_or_null(summary.mean),
            "std": _finite_or_null(summary.std),
            "ci95": _finite_or_null(summary.ci95),
            "diverged": summary.diverged.tolist(),
            "per_task": _finite_or_null(measures[measure]),
        }
        for measure, summary in summaries.items()
    }
    csv_path, json_path = folder / f"{name}.csv", folder / f"{name}.json"
    _write_text(csv_path, _csv_text(summaries.get("accuracy", summaries["loss"])))
    _write_text(json_path, json.dumps(report, allow_nan=False) + "\n")
    return csv_path, json_path


def _cell(column: Column, step: int) -> str:
    scale = 100 if column.percent else 1
    digits = 2 if column.percent else 3
    summary = column.summary
    numbers = [scale * float(values[step]) for values in (summary.mean, summary.ci95)]
    if np.isnan(numbers[1]):  # of one task, or where a task diverged
        del numbers[1]
    # Losses that explode but stay finite would fill the screen.
    texts = [f"{x:.{digits}f}" if abs(x) < 1e5 else f"{x:.3g}" for x in numbers]
    diverged = f" ({summary.diverged[step]} diverged)" if summary.diverged[step] else ""
    return " ± ".join(texts) + diverged


def _table_line(cells: Iterable[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.rjust(width) if i else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "| " + " | ".join([first, *others]) + " |"


def _finite_or_null(values: np.ndarray) -> list[Any]:
    values = np.asarray(values, np.float64)
    numbers = values.astype(object)
    numbers[~np.isfinite(values)] = None
    return numbers.tolist()


def _csv_text(summary: Summary) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["statistic", *(f"update{step}" for step in range(len(summary.mean)))])
    for statistic in ("mean", "std", "ci95"):
        writer.writerow([statistic, *getattr(summary, statistic).tolist()])
    return text.getvalue()


def _write_text(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text.encode())
