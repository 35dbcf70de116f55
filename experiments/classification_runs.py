"""A classification run to its end: training, held-out tasks of both splits, files of results."""

import csv
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.experiment import Experiment
from maml_tnet import MetaLearner
from system.atomic_file import atomic_write
from utils.command.configuration import Config
from utils.errors import UsageError
from utils.prediction.exporting import export_trained
from utils.reports.evaluation import measure
from utils.reports.plots import save_figure
from utils.reports.summary import summarize
from utils.runs.assembly import TaskSource, build_learner, build_source
from utils.runs.environment import environment
from utils.runs.folder import Run
from utils.runs.training import train

CURVE = ("iteration", "loss", "accuracy", "val_loss", "val_accuracy")
Document = dict[str, Any]


@dataclass(frozen=True)
class Folders:
    """Where an experiment finds and leaves its files.

    Attributes:
        data_path: of the data source.
        cache_dir: for its decoded images.
        workdir: for the runs and their checkpoints.
        output: for results.
        pretrained: for SavedModels.
    """

    data_path: str | None
    cache_dir: str
    workdir: Path
    output: Path
    pretrained: Path


def finish(experiment: Experiment, folders: Folders, export_as: str) -> None:
    """Train to the end, measure both held-out splits with both kinds of masks, export.

    Stopped at any moment, the next call goes on where it was.

    Args:
        experiment: whose first shot is the one of training.
        folders: of its files.
        export_as: name of the SavedModel.
    """
    config = experiment.config
    source = build_source(config, folders.data_path, folders.cache_dir)
    learner = build_learner(config, source)
    run = Run(folders.workdir / experiment.name, config)
    run.start(resume=True)
    train(run, learner, source, log=True)
    measured = run.evaluation_folder / f"after{config.total_iterations}"
    document = {
        "main.py": " ".join(experiment.flags),
        "configuration": config.to_dict(),
        "versions": {k: v for k, v in environment().items() if k != "command"},
        "evaluations": _evaluations(experiment, learner, source, measured),
    }
    export_pretrained(learner, source, experiment, folders.pretrained / export_as)
    with atomic_write(folders.output / f"{experiment.name}-curve.csv") as file:
        file.write(_curve(run.log_file).encode())
    # Last, as it says that the experiment is finished.
    write_document(folders.output / f"{experiment.name}.json", document)
    # Left there, they would be taken as measured when the result is removed to measure it again.
    shutil.rmtree(measured)


def _evaluations(
    experiment: Experiment, learner: MetaLearner, source: TaskSource, measured: Path
) -> list[Document]:
    """Measure what is not found in the folder `measured`, which keeps it."""
    evaluations = []
    for split in ("val", "test"):
        for mask in ("sample", "mode") if experiment.config.use_M else ("sample",):
            settings = replace(experiment.settings(experiment.shots[0]), split=split, mask=mask)
            file = measured / f"{split}-{mask}.json"
            found = read_document(file)
            if found is None or found.get("settings") != asdict(settings):
                learner.evaluation_mask = mask
                learner.predict_function = None  # compiled for the other kind of mask
                accuracies = measure(experiment.config, learner, source, settings).accuracies
                digits = np.round(accuracies.astype(np.float64), 4)  # of float32 JSON shows 17
                found = {"settings": asdict(settings), "accuracy": digits.tolist()}
                write_document(file, found)
            evaluations.append(found)
    return evaluations


def export_pretrained(
    learner: MetaLearner, source: TaskSource, experiment: Experiment, folder: Path
) -> None:
    """Write the SavedModel with a line that says how it was made, and all lines beside it."""
    config = experiment.config
    made = (
        f"{config.method}, {config.num_classes}-way {config.update_batch_size}-shot "
        f"{config.datasource}: `python main.py {' '.join(experiment.flags)}`, "
        f"{config.total_iterations} iterations.\n"
    )
    export_trained(learner, source, config, folder, {"README.md": made})
    list_pretrained(folder.parent)


def list_pretrained(folder: Path) -> None:
    """Write README.md: a line on each SavedModel below the folder."""
    lines = [
        "# SavedModels of finished runs",
        "",
        "Classify your own images, in as many class folders as the model's way:",
        "`python main.py --predict --model=pretrained/NAME --support=DIR --query=DIR`. Instead of",
        "the two folders, `--datasource=omniglot`, or for photographs `--datasource=miniimagenet",
        "--data_path=FILE`, takes a task of the held-out test split.",
        "Their accuracies are in [results](../results).",
        "",
    ]
    for made in sorted(folder.glob("*/assets.extra/README.md")):
        lines.append(f"- `{made.parents[1].name}`: {made.read_text().strip()}")
    with atomic_write(folder / "README.md") as file:
        file.write(("\n".join(lines) + "\n").encode())


def _curve(log_file: Path) -> str:
    with log_file.open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [",".join(CURVE)]
    lines += [",".join(f"{float(row[name]):.6g}" for name in CURVE) for row in rows]
    return "\n".join(lines) + "\n"


def write_document(path: Path, document: Document) -> None:
    """Write JSON, whole or not at all."""
    with atomic_write(path) as file:
        file.write((json.dumps(document) + "\n").encode())


def read_document(path: Path) -> Document | None:
    """What `write_document` wrote; None if it is not there or damaged."""
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def finished(experiments: Iterable[Experiment], output: Path) -> dict[Experiment, Document]:
    """The documents of those experiments whose results are there and of this configuration."""
    documents = {experiment: _document(experiment, output) for experiment in experiments}
    return {experiment: found for experiment, found in documents.items() if found is not None}


def _document(experiment: Experiment, output: Path) -> Document | None:
    path = output / f"{experiment.name}.json"
    document = read_document(path)
    if document is None:
        return None
    try:
        fits = Config.from_dict(document["configuration"], str(path)) == experiment.config
    except (KeyError, TypeError, UsageError):
        return None
    return document if fits else None


def cell(document: Document, split: str, mask: str, step: int) -> str:
    """Mean accuracy in % with its 95 % interval; empty if it was not measured."""
    accuracies = _accuracies(document, split, mask)
    if accuracies is None:
        return ""
    summary = summarize(accuracies)
    return f"{summary.mean[step]:.2f} ± {summary.ci95[step]:.2f}"


def at_mode(name: str) -> str:
    """A run's name with its masks at their mode, where as_trained has them drawn."""
    return f"{name}, mask at its mode"


def as_trained(documents: Mapping[Experiment, Document]) -> dict[str, np.ndarray]:
    """Name of every run -> accuracies in %, [test tasks], after training's inner steps.

    Masks are drawn, as in training; those that were also measured at their mode are there once
    more, by at_mode's name.
    """
    found = {}
    for experiment, document in documents.items():
        for name, mask in ((experiment.name, "sample"), (at_mode(experiment.name), "mode")):
            accuracies = _accuracies(document, "test", mask)
            if accuracies is not None:
                found[name] = accuracies[:, experiment.config.num_updates]
    return found


def differences(found: Mapping[str, np.ndarray], pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Markdown: by how much the first of two is better than the second, task by task.

    Held-out tasks are the same for all, so the interval is that of the mean of the tasks'
    differences.

    Args:
        found: name -> accuracy of every test task, in %.
        pairs: of names. Those of which one was not found are left out.
    """
    lines = ["| difference on the same test tasks, points | |", "| --- | ---: |"]
    for first, second in pairs:
        if first in found and second in found:
            summary = summarize((found[first] - found[second])[:, np.newaxis])
            lines.append(f"| {first} - {second} | {summary.mean[0]:+.2f} ± {summary.ci95[0]:.2f} |")
    return [*lines, ""] if len(lines) > 2 else []


def _accuracies(document: Document, split: str, mask: str) -> np.ndarray | None:
    """Of every task after every inner step, in %; None if it was not measured."""
    for evaluation in document["evaluations"]:
        settings = evaluation["settings"]
        if (settings["split"], settings["mask"]) == (split, mask):
            return 100 * np.array(evaluation["accuracy"])
    return None


def steps_table(documents: dict[Experiment, Document]) -> list[str]:
    """Markdown: test accuracy after 0 to 10 inner steps, the trained number of them in bold."""
    lines = ["| run | " + " | ".join(map(str, range(11))) + " |", "| --- " + "| ---: " * 11 + "|"]
    for experiment, document in documents.items():
        cells = [cell(document, "test", "sample", step) for step in range(11)]
        trained = experiment.config.num_updates
        cells[trained] = f"**{cells[trained]}**"
        lines.append(f"| {experiment.name} | {' | '.join(cells)} |")
    return lines


def made_with(documents: dict[Experiment, Document]) -> list[str]:
    """Markdown: the command and the versions behind every run."""
    lines = []
    for experiment, document in documents.items():
        versions = ", ".join(f"{key} {value}" for key, value in document["versions"].items())
        lines.append(f"- {experiment.name}: `main.py {document['main.py']}`; {versions}")
    return lines


def plot_curves(experiments: Iterable[Experiment], output: Path, lowest: float) -> None:
    """Draw every run's validation accuracy against iterations into curves.png.

    Args:
        experiments: finished.
        output: folder of their results.
        lowest: of the axis, %.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for number, experiment in enumerate(experiments):
        with (output / f"{experiment.name}-curve.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        iterations = [float(row["iteration"]) for row in rows]
        accuracies = [100 * float(row["val_accuracy"]) for row in rows]
        axes.plot(iterations, accuracies, label=experiment.name, linewidth=1, zorder=-number)
    axes.set_xlabel("meta-iteration")
    axes.set_ylabel("validation accuracy, %")
    axes.set_ylim(bottom=lowest)
    axes.grid(alpha=0.3)
    axes.legend()
    save_figure(figure, output / "curves.png")
