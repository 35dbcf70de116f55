"""miniImagenet's experiment on photographs that can be had: the paper's Table 3, lower half.

python -m experiments.photographs --data_path=caltech101_84.zip
python -m experiments.photographs --data_path=caltech101_84.zip --only=mtnet-1shot,baselines

Meta-learners at equal iterations, and two baselines on features trained on all training classes.
Writes results into --output and the meta-learners' SavedModels into --pretrained.
Stopped at any moment, the same command goes on where it was.
"""

import itertools
import sys
import zipfile
from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import utils.tensorflow_environment  # noqa: F401

import numpy as np
from absl import app
from tensorflow import keras

from data_generators import MiniImagenet
from data_generators.episode import Episode
from experiments import classification_command
from experiments.baselines import (
    STEP_SIZES,
    FineTuning,
    classifier,
    feature_extractor,
    fine_tune,
    nearest_neighbour,
    train_features,
)
from experiments.classification_runs import (
    Document,
    Folders,
    as_trained,
    at_mode,
    cell,
    differences,
    finish,
    finished,
    made_with,
    plot_curves,
    read_document,
    steps_table,
    write_document,
)
from experiments.experiment import Experiment
from system.atomic_file import atomic_write
from utils.errors import UsageError, one_line
from utils.reports.paper import paper_figure
from utils.reports.summary import summarize
from utils.runs.datasets import EVALUATION_BATCH, held_out_episodes

ITERATIONS, TEST_TASKS = 5000, 600
SHOTS = (1, 5)
COMMON = (
    "--datasource=miniimagenet",
    f"--metatrain_iterations={ITERATIONS}",
    f"--num_test_tasks={TEST_TASKS}",
)
METHODS = {"mtnet": ("--use_T", "--use_M"), "maml": (), "tnet": ("--use_T",)}
EXPERIMENTS = {
    f"{method}-{shot}shot": Experiment(
        f"{method}-{shot}shot", (*COMMON, f"--update_batch_size={shot}", *flags), shots=(shot,)
    )
    for shot in SHOTS
    for method, flags in METHODS.items()
}
BASELINES = {"nearest_neighbour": "nearest neighbour", "fine_tuning": "fine-tuning"}
BASELINES_IN_PAPER = {
    "nearest_neighbour": ("41.08 ± 0.70", "51.04 ± 0.65"),
    "fine_tuning": ("28.86 ± 0.54", "49.79 ± 0.79"),
}
PAIRS = [
    (f"{better}-{shot}shot", f"{other}-{shot}shot")
    for shot in SHOTS
    for better, other in (
        ("mtnet", "maml"),
        ("mtnet", "tnet"),
        ("tnet", "maml"),
        *itertools.product(METHODS, BASELINES),
    )
]
PAIRS += [
    (at_mode(f"mtnet-{shot}shot"), f"{other}-{shot}shot")
    for shot in SHOTS
    for other in (*METHODS, *BASELINES)
]
EPOCHS = 40
VALIDATION_TASKS = 200

Choice = TypeVar("Choice", bound=Hashable)


def do(experiment: Experiment, folders: Folders) -> None:
    """Finish an experiment, if it is not."""
    if not finished([experiment], folders.output):
        finish(experiment, folders, export_as=f"photographs-{experiment.name}")


def do_baselines(folders: Folders) -> None:
    """Train the features and measure both baselines, if that is not done."""
    if _baselines(folders.output) is None:
        write_document(folders.output / "baselines.json", measure_baselines(folders))


def measure_baselines(
    folders: Folders,
    *,
    epochs: int = EPOCHS,
    validation_tasks: int = VALIDATION_TASKS,
    test_tasks: int = TEST_TASKS,
) -> Document:
    """Train features, choose on the validation split, measure on the test split.

    What is done stands below the working folder, from which the next call goes on.
    """
    config = EXPERIMENTS["maml-1shot"].config
    source = MiniImagenet.load(folders.data_path, folders.cache_dir, config.num_classes)

    def episodes(split: str, shot: int) -> Iterator[Episode]:
        tasks = validation_tasks if split == "val" else test_tasks
        drawn = held_out_episodes(
            source,
            split,
            tasks=tasks,
            batch=EVALUATION_BATCH[config.datasource],
            shot=shot,
            query=shot,
        )
        return (episode for _, episode in drawn)

    def trained() -> tuple[keras.Model, list[float]]:
        return train_features(
            *source.labelled_images("train"),
            episodes("val", 1),
            filters=config.num_filters,
            epochs=epochs,
            seed=config.seed,
        )

    def by_neighbours(shot: int) -> Document:
        means = _means(nearest_neighbour(features, episodes("val", shot)))
        distance = max(means, key=means.__getitem__)
        accuracies = nearest_neighbour(features, episodes("test", shot))[distance]
        return _result({"distance": distance}, accuracies)

    def by_fine_tuning(shot: int) -> Document:
        tried: dict[FineTuning, float] = {}
        for step_size in STEP_SIZES:
            tried |= _means(fine_tune(features, episodes("val", shot), step_size))
        best = max(tried, key=tried.__getitem__)
        accuracies = fine_tune(features, episodes("test", shot), best.step_size)[best]
        return _result(best._asdict(), accuracies)

    done = folders.workdir / "baselines"
    untrained = feature_extractor(classifier(source.input_shape, 1, config.num_filters))
    features, curve = _stored_features(done / "features.npz", untrained, trained)
    document: Document = {"epochs": epochs, "validation_accuracy": np.round(curve, 4).tolist()}
    for shot in SHOTS:
        for name, measure in (
            ("nearest_neighbour", by_neighbours),
            ("fine_tuning", by_fine_tuning),
        ):
            file = done / f"{name}-{shot}shot.json"
            found = read_document(file)
            if found is None:
                found = measure(shot)
                write_document(file, found)
            document[file.stem] = found
    return document


def _stored_features(
    file: Path, features: keras.Model, train: Callable[[], tuple[keras.Model, list[float]]]
) -> tuple[keras.Model, list[float]]:
    """Train and store the features and their learning curve, unless the file has them.

    Raises:
        UsageError: the file is damaged, or of other features.
    """
    if not file.exists():
        trained, curve = train()
        with atomic_write(file) as output:
            np.savez(output, np.array(curve), *trained.get_weights())
    try:
        with file.open("rb") as content, np.load(content) as stored:
            curve, *weights = (stored[name] for name in stored.files)
        features.set_weights(weights)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"{file} does not hold the trained features ({one_line(error)}): remove it, and they "
            "are trained again"
        ) from error
    return features, curve


def _means(accuracies: Mapping[Choice, np.ndarray]) -> dict[Choice, float]:
    return {choice: float(np.mean(found)) for choice, found in accuracies.items()}


def _result(choice: Document, accuracies: np.ndarray) -> Document:
    return {"chosen on validation": choice, "accuracy": np.round(accuracies, 4).tolist()}


def _baselines(output: Path) -> Document | None:
    return read_document(output / "baselines.json")


def write_readme(output: Path) -> None:
    """Write README.md and curves.png of what is finished."""
    documents = finished(EXPERIMENTS.values(), output)
    baselines = _baselines(output)
    lines = [
        "# miniImagenet's experiment on photographs of Caltech 101",
        "",
        "Written by `python -m experiments.photographs --data_path=FILE`; nothing here is typed by",
        "hand. 5-way accuracy in % on 600 tasks of the 20 held-out classes, with the 95 % interval",
        f"1.96 * std / sqrt(tasks), with K queries a class. The meta-learners had {ITERATIONS}",
        "iterations of the recipe for miniImagenet (5 inner steps, as reported). The paper's",
        "figures are for miniImagenet, other and harder images, after 60,000 iterations.",
        "",
        "| method | 1-shot | 5-shot | miniImagenet in the paper: 1-shot | 5-shot |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for method in METHODS:
        experiments = [EXPERIMENTS[f"{method}-{shot}shot"] for shot in SHOTS]
        cells = [
            cell(documents[e], "test", "sample", e.config.num_updates) if e in documents else ""
            for e in experiments
        ]
        if any(cells):
            cells += [paper_figure(e.config, e.shots[0]) or "" for e in experiments]
            lines.append(f"| {experiments[0].config.method} | {' | '.join(cells)} |")
    lines += _baseline_lines(baselines)
    if documents:
        lines += [
            "",
            "Test accuracy after every number of inner steps (mask drawn; training's in bold):",
            "",
            *steps_table(documents),
            "",
            f"With masks at their mode, and on {TEST_TASKS} tasks of the validation classes:",
            "",
            "| run | test, mask at its mode | validation, mask drawn |",
            "| --- | ---: | ---: |",
            *(_other_cells(e, document) for e, document in documents.items()),
            "",
            *differences(as_trained(documents) | _baseline_accuracies(baselines), PAIRS),
            "![learning curves](curves.png)",
            "",
            *made_with(documents),
        ]
        plot_curves(documents, output, lowest=20)
    with atomic_write(output / "README.md") as file:
        file.write(("\n".join(lines) + "\n").encode())


def _other_cells(experiment: Experiment, document: Document) -> str:
    step = experiment.config.num_updates
    cells = [cell(document, *which, step) for which in (("test", "mode"), ("val", "sample"))]
    return f"| {experiment.name} | {' | '.join(cells)} |"


def _baseline_accuracies(baselines: Document | None) -> dict[str, np.ndarray]:
    """Name of baseline and shot -> accuracy of every test task, in %."""
    if baselines is None:
        return {}
    results = (f"{name}-{shot}shot" for name in BASELINES for shot in SHOTS)
    return {result: 100 * np.array(baselines[result]["accuracy"]) for result in results}


def _baseline_lines(baselines: Document | None) -> list[str]:
    if baselines is None:
        return []
    found = _baseline_accuracies(baselines)
    rows, chosen = [], ["", "Chosen on the validation split:", ""]
    for name, title in BASELINES.items():
        cells = []
        for shot in SHOTS:
            result = f"{name}-{shot}shot"
            summary = summarize(found[result][:, np.newaxis])
            cells.append(f"{summary.mean[0]:.2f} ± {summary.ci95[0]:.2f}")
            choice = baselines[result]["chosen on validation"].items()
            chosen.append(f"- {title}, {shot}-shot: " + ", ".join(f"{k} {v}" for k, v in choice))
        rows.append(f"| {title} | {' | '.join([*cells, *BASELINES_IN_PAPER[name]])} |")
    return rows + chosen


JOBS = {
    "baselines": do_baselines,
    **{name: partial(do, experiment) for name, experiment in EXPERIMENTS.items()},
}

if __name__ == "__main__":
    classification_command.define("photographs", JOBS)
    app.define_help_flags()
    sys.exit(classification_command.main(sys.argv, JOBS, write_readme))
