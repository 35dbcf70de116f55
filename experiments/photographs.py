"""miniImagenet's experiment on photographs that can be had: the paper's Table 3, lower half.

python -m experiments.photographs --data_path=caltech101_84.zip
python -m experiments.photographs --data_path=caltech101_84.zip --only=mtnet-1shot,baselines

Meta-learners at equal iterations, and two baselines on features trained on all training classes.
Writes results into --output and the meta-learners' SavedModels into --pretrained.
Stopped at any moment, the same command goes on where it was. Where there is a SavedModel of a run,
but no run, its weights are measured, on the data that they were learned on; to train again, name
another --pretrained.
"""

import itertools
import sys
import zipfile
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import utils.tensorflow_environment  # noqa: F401

import numpy as np
from tensorflow import keras

from data_generators import MiniImagenet
from data_generators.episode import Episode
from experiments import command
from experiments.baselines import (
    STEP_SIZES,
    FineTuning,
    classifier,
    feature_extractor,
    fine_tune,
    nearest_neighbour,
    train_features,
)
from experiments.experiment import Experiment
from experiments.image_tables import (
    as_trained,
    at_mode,
    cell,
    commands,
    differences,
    plot_curves,
    steps_table,
)
from experiments.paper import paper_figure
from experiments.record import (
    HELD_OUT_TASKS,
    OTHER_DATA,
    Document,
    check_same_data,
    read_document,
    read_records,
    write_document,
)
from experiments.runs import Folders, finish
from experiments.tables import markdown, percent
from system.atomic_file import atomic_write, write_text
from utils.command.help_flags import define_help
from utils.errors import UsageError, one_line
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
        f"{method}-{shot}shot",
        (*COMMON, f"--update_batch_size={shot}", *flags),
        shots=(shot,),
        masks=("sample", "mode"),
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
BASELINES_PART = "baselines"
PARTS = (BASELINES_PART, *EXPERIMENTS)
EPOCHS = 40
VALIDATION_TASKS = 200

PAGE = """# miniImagenet's experiment on photographs of Caltech 101

Written by `python -m experiments.photographs --data_path=FILE`; nothing here is typed by hand.
5-way accuracy in % on 600 tasks of the 20 held-out classes, with the 95 % interval over them (of
the one network that was trained), with K queries a class. The meta-learners had {iterations}
iterations of the recipe for miniImagenet (5 inner steps, as reported). The paper's figures are for
miniImagenet, other and harder images, after 60,000 iterations.

{table}

{chosen}
"""
RUNS = """
Test accuracy after every number of inner steps (mask drawn; training's in bold):

{steps}

{mode}

{differences}

![learning curves](curves.png)

{commands}
"""

Choice = TypeVar("Choice", bound=Hashable)


def do(names: Sequence[str], folders: Folders) -> None:
    """Finish experiments and baselines, and write README.md after each."""
    for name in names:
        if name != BASELINES_PART:
            finish(EXPERIMENTS[name], folders)
        else:
            finish_baselines(folders)
        write_readme(folders.records)
        print("wrote", folders.records / "README.md")


def finish_baselines(folders: Folders) -> None:
    """Measure the baselines and write their file, unless it is there.

    Raises:
        UsageError: it is of other data than that which is given.
    """
    file, document = _baselines_file(folders.records), _baselines(folders.records)
    if document is None:
        write_document(file, measure_baselines(folders))
    elif folders.data_path is not None:
        data = _source(folders).data_record.fingerprint
        if document.get("data", data) != data:  # earlier versions did not note it
            raise UsageError(f"{file} {OTHER_DATA}")


def _source(folders: Folders) -> MiniImagenet:
    config = EXPERIMENTS["maml-1shot"].config
    return MiniImagenet.load(folders.data_path, folders.cache_dir, config.num_classes)


def measure_baselines(folders: Folders) -> Document:
    """Train features, choose on the validation split, measure on the test split.

    What is done stands below the working folder, from which the next call on the same data goes on.
    """
    config, source = EXPERIMENTS["maml-1shot"].config, _source(folders)
    data = source.data_record.fingerprint
    check_same_data(folders.records, data)

    def episodes(split: str, shot: int) -> Iterator[Episode]:
        tasks = VALIDATION_TASKS if split == "val" else TEST_TASKS
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
            epochs=EPOCHS,
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

    done = folders.workdir / f"baselines-{data}"
    untrained = feature_extractor(classifier(source.input_shape, 1, config.num_filters))
    features, curve = _stored_features(done / "features.npz", untrained, trained)
    document: Document = {
        "held_out_tasks": HELD_OUT_TASKS,
        "data": data,
        "epochs": EPOCHS,
        "validation_accuracy": np.round(curve, 4).tolist(),
    }
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


def _baselines_file(output: Path) -> Path:
    return output / f"{BASELINES_PART}.json"


def _baselines(output: Path) -> Document | None:
    document = read_document(_baselines_file(output))
    current = document is not None and document.get("held_out_tasks") == HELD_OUT_TASKS
    return document if current else None


def write_readme(output: Path) -> None:
    """Write README.md and curves.png of what is finished."""
    records, baselines = read_records(EXPERIMENTS.values(), output), _baselines(output)
    meta_learners = []
    for method in METHODS:
        experiments = [EXPERIMENTS[f"{method}-{shot}shot"] for shot in SHOTS]
        cells = [cell(records[e.name]) if e.name in records else "" for e in experiments]
        if any(cells):
            paper = [paper_figure(e.config, e.shots[0]) or "" for e in experiments]
            meta_learners.append([experiments[0].config.method, *cells, *paper])
    found = {} if baselines is None else _baseline_accuracies(baselines)
    others = [
        [
            title,
            *(percent(found[f"{name}-{shot}shot"]) for shot in SHOTS),
            *BASELINES_IN_PAPER[name],
        ]
        for name, title in BASELINES.items()
        if found
    ]
    page = PAGE.format(
        iterations=ITERATIONS,
        table=markdown(
            ["method", "1-shot", "5-shot", "miniImagenet in the paper: 1-shot", "5-shot"],
            meta_learners + others,
        ),
        chosen="" if baselines is None else _chosen(baselines),
    )
    if records:
        page += RUNS.format(
            steps=steps_table(records),
            mode=markdown(
                ["masks at their mode", "test"],
                [
                    [n, cell(r, "test", "mode")]
                    for n, r in records.items()
                    if r.experiment.config.use_M
                ],
            ),
            differences=differences(as_trained(records) | found, PAIRS),
            commands=commands(records),
        )
        plot_curves(records, output, lowest=20)
    write_text(output / "README.md", page)


def _baseline_accuracies(baselines: Document) -> dict[str, np.ndarray]:
    """Name of baseline and shot -> accuracy of every test task."""
    results = (f"{name}-{shot}shot" for name in BASELINES for shot in SHOTS)
    return {result: np.array(baselines[result]["accuracy"]) for result in results}


def _chosen(baselines: Document) -> str:
    lines = ["Chosen on the validation split:", ""]
    for name, title in BASELINES.items():
        for shot in SHOTS:
            choice = baselines[f"{name}-{shot}shot"]["chosen on validation"].items()
            lines.append(f"- {title}, {shot}-shot: " + ", ".join(f"{k} {v}" for k, v in choice))
    return "\n".join(lines)


if __name__ == "__main__":
    command.define("photographs", PARTS)
    command.define_images()
    define_help()

    def main(names: Sequence[str]) -> None:
        """Finish the parts of these names."""
        do(names, command.image_folders("photographs-"))

    sys.exit(command.main(sys.argv, PARTS, main))
