"""The baselines of a table, trained and measured on its tasks.

Stopped at any moment, the same call goes on with what is not done yet.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tensorflow import keras

from data_generators import MiniImagenet
from data_generators.episode import Episode
from experiments.baselines.document import (
    ACCURACY,
    CHOSEN,
    baselines_file,
    check_result,
    read_baselines,
)
from experiments.baselines.features import classifier, feature_extractor, train_features
from experiments.baselines.fine_tuning import STEP_SIZES, STEPS, FineTuning, fine_tune
from experiments.baselines.nearest_neighbour import DISTANCES, nearest_neighbour
from experiments.baselines.plan import BaselinesPlan
from experiments.baselines.stored_features import stored_features
from experiments.documents import Document, entry, numbers, parsed, read_document, write_document
from experiments.measuring import PART
from experiments.record import HELD_OUT_TASKS, OTHER_DATA, check_same_data
from experiments.runs import Folders
from utils.errors import UsageError
from utils.runs.datasets import EVALUATION_BATCH, held_out_episodes

Tried = Iterable[tuple[Document, np.ndarray]]
"""Every choice and its accuracies [tasks]."""


class Baseline(NamedTuple):
    """One of the two.

    Attributes:
        rounds: in which choices are tried, each a part of these.
        choices: (features, tasks, a round) -> its choices.
        chosen: (features, tasks, a choice) -> its accuracies [tasks].
        is_choice: whether something is one of its choices, stored by any version.
    """

    rounds: Callable[[], Sequence[Any]]
    choices: Callable[[keras.Model, Iterable[Episode], Any], Tried]
    chosen: Callable[[keras.Model, Iterable[Episode], Document], np.ndarray]
    is_choice: Callable[[Any], bool]


def _distances(features: keras.Model, tasks: Iterable[Episode], _: None) -> Tried:
    for distance, accuracies in nearest_neighbour(features, tasks).items():
        yield {"distance": distance}, accuracies


def _of_distance(features: keras.Model, tasks: Iterable[Episode], choice: Document) -> np.ndarray:
    return nearest_neighbour(features, tasks)[choice["distance"]]


def _numbers_of_steps(features: keras.Model, tasks: Iterable[Episode], step_size: float) -> Tried:
    for choice, accuracies in fine_tune(features, tasks, step_size, STEPS).items():
        yield choice._asdict(), accuracies


def _of_steps(features: keras.Model, tasks: Iterable[Episode], choice: Document) -> np.ndarray:
    tuning = FineTuning(**choice)
    return fine_tune(features, tasks, tuning.step_size, [tuning.steps])[tuning]


def _is_distance(choice: Any) -> bool:
    return choice in [{"distance": distance} for distance in DISTANCES]


def _is_number_of_steps(choice: Any) -> bool:
    tuning = FineTuning(**choice)
    return isinstance(tuning.step_size, float) and isinstance(tuning.steps, int)


BASELINES = {
    "nearest_neighbour": Baseline(lambda: [None], _distances, _of_distance, _is_distance),
    "fine_tuning": Baseline(lambda: STEP_SIZES, _numbers_of_steps, _of_steps, _is_number_of_steps),
}


def finish_baselines(plan: BaselinesPlan, folders: Folders) -> None:
    """Measure the baselines and write their file, unless it is there.

    Raises:
        UsageError: it is of other data than that which is given.
        FileError: it, or what is kept of measuring it, is damaged, or something else.
    """
    file, document = baselines_file(folders.records), read_baselines(folders.records, plan)
    if document is None:
        write_document(file, measure_baselines(plan, folders))
    elif folders.data_path is not None:
        data = _source(plan, folders).data_record.fingerprint
        if document.get("data", data) != data:  # earlier versions did not note it
            raise UsageError(f"{file} {OTHER_DATA}")


def _source(plan: BaselinesPlan, folders: Folders) -> MiniImagenet:
    return MiniImagenet.load(folders.data_path, folders.cache_dir, plan.config.num_classes)


def measure_baselines(plan: BaselinesPlan, folders: Folders) -> Document:
    """Train features, choose on the validation split, measure on the test split.

    What is done stands below the working folder, from which the next call on the same data goes on.
    """
    source = _source(plan, folders)
    data = source.data_record.fingerprint
    check_same_data(folders.records, data)
    measuring = _Measuring(plan, source, folders.workdir / _folder_name(plan, data))
    document: Document = {
        "held_out_tasks": HELD_OUT_TASKS,
        "data": data,
        "epochs": plan.epochs,
        "validation_accuracy": np.round(measuring.curve, 4).tolist(),
    }
    for name, baseline, shot in plan.results:
        document[name] = measuring.result(name, BASELINES[baseline], shot)
    return document


def _folder_name(plan: BaselinesPlan, data: str) -> str:
    """By what the features, and what is chosen with them, depend on."""
    trained = f"{plan.epochs}epochs-{plan.config.num_filters}filters-seed{plan.config.seed}"
    return f"baselines-{data}-{trained}-{plan.validation_tasks}tasks"


class _Measuring:
    """Measures baselines of the same features, and keeps what is done.

    Args:
        plan: of the baselines.
        source: of the tasks.
        done: folder of what is done.

    Attributes:
        curve: validation accuracy of the features after every epoch of their training.
    """

    def __init__(self, plan: BaselinesPlan, source: MiniImagenet, done: Path):
        self._plan, self._source, self._done = plan, source, done
        self._training = done / "training.npz"
        filters = plan.config.num_filters
        untrained = feature_extractor(classifier(source.input_shape, 1, filters))
        self._features, self.curve = stored_features(
            done / "features.npz", untrained, self._train_features
        )
        self._training.unlink(missing_ok=True)

    def _train_features(self) -> tuple[keras.Model, list[float]]:
        return train_features(
            *self._source.labelled_images("train"),
            self._episodes("val", 1, self._plan.validation_tasks),
            filters=self._plan.config.num_filters,
            epochs=self._plan.epochs,
            seed=self._plan.config.seed,
            state=self._training,
        )

    def _episodes(self, split: str, shot: int, tasks: int, first: int = 0) -> Iterator[Episode]:
        drawn = held_out_episodes(
            self._source,
            split,
            tasks=tasks,
            batch=EVALUATION_BATCH[self._plan.config.datasource],
            shot=shot,
            query=shot,
            first=first,
        )
        return (episode for _, episode in drawn)

    def result(self, name: str, baseline: Baseline, shot: int) -> Document:
        """What is chosen for a K, and the accuracy of every test task."""
        tasks = self._plan.test_tasks
        return self._kept(
            name,
            lambda: self._measure(name, baseline, shot),
            lambda found: check_result(found, tasks),
        )

    def _measure(self, name: str, baseline: Baseline, shot: int) -> Document:
        choice = self._best_choice(name, baseline, shot)
        accuracies: list[float] = []
        for first in range(0, self._plan.test_tasks, PART):
            tasks = min(PART, self._plan.test_tasks - first)
            episodes = self._episodes("test", shot, tasks, first)

            def part(tasks: int = tasks, episodes: Iterator[Episode] = episodes) -> Document:
                found = baseline.chosen(self._features, episodes, choice)[:tasks]
                return {ACCURACY: np.round(found, 4).tolist()}

            def check(found: Document, tasks: int = tasks) -> None:
                numbers(found, ACCURACY, (tasks,))

            accuracies += self._kept(f"{name}-{first}", part, check)[ACCURACY]
        return {CHOSEN: choice, ACCURACY: accuracies}

    def _best_choice(self, name: str, baseline: Baseline, shot: int) -> Document:
        """By the mean accuracy on validation tasks."""
        means: list[tuple[Document, float]] = []
        for number, part in enumerate(baseline.rounds()):
            episodes = self._episodes("val", shot, self._plan.validation_tasks)

            def tried(part: Any = part, episodes: Iterator[Episode] = episodes) -> Document:
                found = baseline.choices(self._features, episodes, part)
                return {"means": [[choice, float(np.mean(values))] for choice, values in found]}

            def check(found: Document) -> None:
                stored = entry(found, "means", list)
                if not stored or not all(baseline.is_choice(choice) for choice, _ in stored):
                    raise ValueError("'means' must be choices, each with its mean accuracy")
                for _, mean in stored:
                    numbers({"mean": mean}, "mean", ())

            means += self._kept(f"{name}-tried-{number}", tried, check)["means"]
        choice, _ = max(means, key=lambda choice_and_mean: choice_and_mean[1])
        return choice

    def _kept(
        self, name: str, make: Callable[[], Document], check: Callable[[Document], None]
    ) -> Document:
        """What a file has, which is made where it is not there."""
        file = self._done / f"{name}.json"
        found = read_document(file)
        if found is None:
            found = make()
            write_document(file, found)
        else:
            parsed(file, functools.partial(check, found))
        return found
