"""What a finished Omniglot run leaves behind, and the table made of it."""

import csv
import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from data_generators.atomic_file import atomic_write
from experiments.regression_runs import Experiment
from maml_tnet import MetaLearner
from utils.assembly import TaskSource, build_learner, build_source
from utils.evaluation import measure
from utils.exporting import export_trained
from utils.paper import paper_figure
from utils.plots import save_figure
from utils.reports import summarize
from utils.runs import Run, environment
from utils.training import train

CURVE = ("iteration", "loss", "accuracy", "val_loss", "val_accuracy")


def is_finished(experiment: Experiment, output: Path) -> bool:
    """Whether the experiment's results are there and of this configuration."""
    document = _document(experiment, output)
    return document is not None


def finish(
    experiment: Experiment,
    *,
    data_path: str | None,
    cache_dir: str,
    workdir: Path,
    output: Path,
    pretrained: Path,
) -> None:
    """Train to the end, measure both held-out splits with both kinds of masks, export."""
    config = experiment.config
    source = build_source(config, data_path, cache_dir)
    learner = build_learner(config, source)
    run = Run(workdir / experiment.name, config)
    run.start(resume=True)
    train(run, learner, source, log=True)
    document = {
        "main.py": " ".join(experiment.flags),
        "configuration": config.to_dict(),
        "versions": {k: v for k, v in environment().items() if k != "command"},
        "evaluations": _evaluations(experiment, learner, source),
    }
    export_pretrained(learner, source, experiment, pretrained)
    with atomic_write(output / f"{experiment.name}-curve.csv") as file:
        file.write(_curve(run.log_file).encode())
    # Last, as it says that the experiment is finished.
    with atomic_write(output / f"{experiment.name}.json") as file:
        file.write((json.dumps(document) + "\n").encode())


def _evaluations(
    experiment: Experiment, learner: MetaLearner, source: TaskSource
) -> list[dict[str, Any]]:
    evaluations = []
    for split in ("val", "test"):
        for mask in ("sample", "mode") if experiment.config.use_M else ("sample",):
            settings = replace(experiment.settings(1), split=split, mask=mask)
            learner.evaluation_mask = mask
            learner.predict_function = None  # compiled for the other kind of mask
            accuracies = measure(experiment.config, learner, source, settings).accuracies
            evaluations.append(
                {"settings": asdict(settings), "accuracy": np.round(accuracies, 4).tolist()}
            )
    return evaluations


def export_pretrained(
    learner: MetaLearner, source: TaskSource, experiment: Experiment, folder: Path
) -> None:
    """Write the SavedModel, with a README that says how it was made."""
    config = experiment.config
    made = (
        f"{config.method}, {config.num_classes}-way 1-shot Omniglot: "
        f"`python main.py {' '.join(experiment.flags)}`, {config.total_iterations} iterations.\n"
    )
    export_trained(learner, source, config, folder, {"README.md": made})


def _curve(log_file: Path) -> str:
    with log_file.open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [",".join(CURVE)]
    lines += [",".join(f"{float(row[name]):.6g}" for name in CURVE) for row in rows]
    return "\n".join(lines) + "\n"


def write_readme(experiments: Iterable[Experiment], output: Path) -> None:
    """Write README.md and curves.png of what is finished."""
    finished = {e: d for e in experiments if (d := _document(e, output)) is not None}
    lines = [
        "# Omniglot, 1-shot: the paper's Table 3",
        "",
        "Written by `python -m experiments.omniglot --data_path=DIR`; nothing here is typed by",
        "hand. Accuracy in % on 600 tasks, with the 95 % interval 1.96 * std / sqrt(tasks), after",
        "the inner steps of training; `NAME.json` has every task's accuracy after 0 to 10 steps,",
        "`NAME-curve.csv` the learning curve. The weights are those of the last iteration; nothing",
        "was chosen by the test split.",
        "",
        "| run | test, mask drawn | test, mask at its mode | validation, mask drawn | paper |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for experiment, document in finished.items():
        config = experiment.config
        cells = [
            _cell(document, split, mask, config.num_updates)
            for split, mask in (("test", "sample"), ("test", "mode"), ("val", "sample"))
        ]
        name = f"{config.method} {config.num_classes}-way"
        lines.append(f"| {name} | {' | '.join(cells)} | {paper_figure(config, 1) or ''} |")
    lines += [
        "",
        "Test accuracy after every number of inner steps (mask drawn; training had 1):",
        "",
    ]
    lines += ["| run | " + " | ".join(map(str, range(11))) + " |", "| --- " + "| ---: " * 11 + "|"]
    for experiment, document in finished.items():
        name = f"{experiment.config.method} {experiment.config.num_classes}-way"
        cells = [_cell(document, "test", "sample", step) for step in range(11)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "![learning curves](curves.png)", ""]
    for experiment, document in finished.items():
        versions = document["versions"]
        made = ", ".join(f"{key} {value}" for key, value in versions.items())
        lines.append(f"- {experiment.name}: `main.py {document['main.py']}`; {made}")
    with atomic_write(output / "README.md") as file:
        file.write(("\n".join(lines) + "\n").encode())
    _plot_curves(finished, output)


def _cell(document: dict[str, Any], split: str, mask: str, step: int) -> str:
    for evaluation in document["evaluations"]:
        settings = evaluation["settings"]
        if (settings["split"], settings["mask"]) == (split, mask):
            summary = summarize(100 * np.array(evaluation["accuracy"]))
            return f"{summary.mean[step]:.2f} ± {summary.ci95[step]:.2f}"
    return ""


def _plot_curves(finished: Iterable[Experiment], output: Path) -> None:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for experiment in finished:
        with (output / f"{experiment.name}-curve.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        iterations = [float(row["iteration"]) for row in rows]
        accuracies = [100 * float(row["val_accuracy"]) for row in rows]
        axes.plot(iterations, accuracies, label=experiment.name, linewidth=1)
    axes.set_xlabel("meta-iteration")
    axes.set_ylabel("validation accuracy, %")
    axes.set_ylim(bottom=70)
    axes.grid(alpha=0.3)
    axes.legend()
    save_figure(figure, output / "curves.png")


def _document(experiment: Experiment, output: Path) -> dict[str, Any] | None:
    try:
        document = json.loads((output / f"{experiment.name}.json").read_text())
        fits = document["configuration"] == experiment.config.to_dict()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return document if fits else None
