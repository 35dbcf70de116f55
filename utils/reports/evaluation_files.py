"""An evaluation as CSV and JSON files.

JSON has no nan and no inf: there they are null, and "diverged" counts them for every inner step.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from system.atomic_file import write_text
from system.errors import FileError
from system.json_file import read_object, write_json
from utils.command.configuration import Config
from utils.command.evaluation_settings import EvaluationSettings
from utils.reports.summary import Summary, summarize


def write_report(
    folder: Path,
    name: str,
    *,
    config: Config,
    iteration: int,
    settings: EvaluationSettings,
    losses: np.ndarray,
    accuracies: np.ndarray | None = None,
    accuracies_alone: np.ndarray | None = None,
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
        accuracies_alone: with each query asked alone, where that makes a difference.
        versions: of the libraries, by name.

    Returns:
        the paths of the CSV and of the JSON file.

    Raises:
        OSError: the files cannot be written; earlier ones of that name are as they were.
    """
    found = {"loss": losses, "accuracy": accuracies, "accuracy_alone": accuracies_alone}
    measures = {measure: values for measure, values in found.items() if values is not None}
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
    write_text(csv_path, _csv_text(summaries.get("accuracy", summaries["loss"])))
    write_json(json_path, report)
    return csv_path, json_path


def earlier_settings(folder: Path, name: str, settings: EvaluationSettings) -> str:
    """What an evaluation that is about to be replaced had otherwise, such as "num_tasks 600".

    Args:
        folder: of the files.
        name: of them, without suffix.
        settings: of the new evaluation.
    """
    try:
        earlier = read_object(folder / f"{name}.json").get("settings")
    except FileError:  # there is none, or nothing to be known of it
        return ""
    if not isinstance(earlier, dict):
        return ""
    return ", ".join(
        f"{field} {earlier[field]}"
        for field, value in asdict(settings).items()
        if earlier.get(field, value) != value
    )


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
