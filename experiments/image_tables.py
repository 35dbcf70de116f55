"""Tables and figures of experiments on images, made of their records."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.record import Record
from experiments.tables import markdown, percent
from system.csv_file import read_columns
from utils.reports.plots import save_figure


def cell(
    record: Record,
    split: str = "test",
    mask: str = "sample",
    shot: int | None = None,
    tasks: int | None = None,
) -> str:
    """Accuracy in % after the inner steps of training; empty if it was not measured.

    Args:
        record: of a run.
        split: of the tasks.
        mask: how M was had.
        shot: support examples; those of its first evaluation where none is given.
        tasks: the first so many, or all.
    """
    found = record.find(shot=shot, split=split, mask=mask)
    return percent(found.after(record.experiment.config.num_updates)[:tasks]) if found else ""


def at_mode(name: str) -> str:
    """A run's name with its masks at their mode, where `as_trained` has them drawn."""
    return f"{name}, mask at its mode"


def as_trained(records: Mapping[str, Record]) -> dict[str, np.ndarray]:
    """Name of every run -> accuracies [test tasks] after the inner steps of training.

    Masks are drawn, as in training; those that were also measured at their mode are there once
    more, by `at_mode`'s name.
    """
    found = {}
    for name, record in records.items():
        for key, mask in ((name, "sample"), (at_mode(name), "mode")):
            measured = record.find(mask=mask)
            if measured:
                found[key] = measured.after(record.experiment.config.num_updates)
    return found


def differences(found: Mapping[str, np.ndarray], pairs: Iterable[tuple[str, str]]) -> str:
    """By how much the first of two is better than the second, task by task; or nothing.

    Held-out tasks are the same for all, so the interval is that of the mean of the tasks'
    differences.

    Args:
        found: name -> accuracy of every test task.
        pairs: of names. Those of which one was not found are left out.
    """
    rows = [
        [f"{first} - {second}", percent(found[first] - found[second], "+")]
        for first, second in pairs
        if first in found and second in found
    ]
    return markdown(["difference on the same test tasks, points", ""], rows) if rows else ""


def steps_table(records: Mapping[str, Record], masks: Sequence[str] = ("sample",)) -> str:
    """Test accuracy after every number of inner steps, the trained number of them in bold.

    Args:
        records: of the runs.
        masks: how M was had: a row for each that was measured.
    """
    rows = []
    for name, record in records.items():
        trained = record.experiment.config.num_updates
        for mask in masks:
            if measured := record.find(mask=mask):
                cells = {step: percent(measured.after(step)) for step in measured.steps}
                cells[trained] = f"**{cells[trained]}**"
                rows.append([at_mode(name) if mask == "mode" else name, *cells.values()])
    return markdown(["run", *map(str, range(11))], rows)


def commands(records: Mapping[str, Record]) -> str:
    """The command and the versions behind every run."""
    lines = []
    for name, record in records.items():
        first = record.trained_with
        lines.append(f"- {name}: `main.py {' '.join(record.experiment.flags)}`; {_said(first)}")
        for start in record.went_on_with:
            other = {name: said for name, said in start.items() if said != first.get(name)}
            lines[-1] += f"; went on with {_said(other)}"
    return "\n".join(lines)


def _said(versions: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in versions.items())


def plot_curves(records: Mapping[str, Record], folder: Path, lowest: float) -> None:
    """Draw every run's validation accuracy against iterations into curves.png.

    Args:
        records: of finished runs; of one that was not trained here there is no curve.
        folder: of their learning curves.
        lowest: of the axis, %.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for number, name in enumerate(records):
        file = folder / f"{name}-curve.csv"
        if not file.exists():
            continue
        iterations, accuracies = read_columns(file, ("iteration", "val_accuracy"))
        axes.plot(iterations, np.multiply(100, accuracies), label=name, linewidth=1, zorder=-number)
    axes.set_xlabel("meta-iteration")
    axes.set_ylabel("validation accuracy, %")
    axes.set_ylim(bottom=lowest)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend()
    save_figure(figure, folder / "curves.png")
