"""What was measured of the baselines, as their file has it."""

from pathlib import Path

import numpy as np

from experiments.baselines.plan import TITLES, BaselinesPlan, result_name
from experiments.documents import Document, entry, numbers, parsed, read_document
from experiments.record import HELD_OUT_TASKS

# What the file of all versions has.
KEYS = ("epochs",)
ACCURACY, CHOSEN = "accuracy", "chosen on validation"


def baselines_file(folder: Path) -> Path:
    """Where it stands, below the folder of the records."""
    return folder / "baselines.json"


def read_baselines(folder: Path, plan: BaselinesPlan) -> Document | None:
    """What `measuring.finish_baselines` wrote.

    None if it is not there or is of an earlier version's tasks.

    Args:
        folder: of the records.
        plan: of what it has.

    Raises:
        FileError: it is damaged, or something else.
    """
    file = baselines_file(folder)
    document = read_document(file, KEYS)
    if document is None or document.get("held_out_tasks") != HELD_OUT_TASKS:
        return None
    parsed(file, lambda: _check_form(document, plan))
    return document


def _check_form(document: Document, plan: BaselinesPlan) -> None:
    for name, *_ in plan.results:
        check_result(entry(document, name, dict), plan.test_tasks)
    if document.get("data") is not None:
        entry(document, "data", str)


def check_result(document: Document, tasks: int) -> None:
    """Check that this is what was chosen for a K, and the accuracy of so many tasks.

    Raises one of `NOT_OF_THIS_FORM` where it is not.
    """
    numbers(document, ACCURACY, (tasks,))
    entry(document, CHOSEN, dict)


def accuracies(document: Document, plan: BaselinesPlan) -> dict[str, np.ndarray]:
    """Name of a result -> accuracy of every test task."""
    return {name: numbers(document[name], ACCURACY) for name, *_ in plan.results}


def chosen(document: Document, plan: BaselinesPlan) -> str:
    """What was chosen on the validation split, as Markdown."""
    lines = ["Chosen on the validation split:", ""]
    for baseline, title in TITLES.items():
        for shot in plan.shots:
            choice = document[result_name(baseline, shot)][CHOSEN].items()
            lines.append(f"- {title}, {shot}-shot: " + ", ".join(f"{k} {v}" for k, v in choice))
    return "\n".join(lines)
