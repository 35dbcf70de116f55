"""What was measured of the baselines, as their file has it."""

from pathlib import Path

import numpy as np

from experiments.baselines.plan import TITLES, BaselinesPlan, result_name
from experiments.record import HELD_OUT_TASKS, Document, read_document


def baselines_file(folder: Path) -> Path:
    """Where it stands, below the folder of the records."""
    return folder / "baselines.json"


def read_baselines(folder: Path) -> Document | None:
    """What `measuring.finish_baselines` wrote.

    None if it is not there or is of an earlier version's tasks.

    Raises:
        FileError: it is damaged.
    """
    document = read_document(baselines_file(folder))
    current = document is not None and document.get("held_out_tasks") == HELD_OUT_TASKS
    return document if current else None


def accuracies(document: Document, plan: BaselinesPlan) -> dict[str, np.ndarray]:
    """Name of a result -> accuracy of every test task."""
    return {name: np.array(document[name]["accuracy"]) for name, *_ in plan.results}


def chosen(document: Document, plan: BaselinesPlan) -> str:
    """What was chosen on the validation split, as Markdown."""
    lines = ["Chosen on the validation split:", ""]
    for baseline, title in TITLES.items():
        for shot in plan.shots:
            choice = document[result_name(baseline, shot)]["chosen on validation"].items()
            lines.append(f"- {title}, {shot}-shot: " + ", ".join(f"{k} {v}" for k, v in choice))
    return "\n".join(lines)
