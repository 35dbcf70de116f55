"""The baselines of a table, trained and measured on its tasks.

Stopped at any moment, the same call goes on with what is not done yet.
"""

import zipfile
from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
from tensorflow import keras

from data_generators import MiniImagenet
from data_generators.episode import Episode
from experiments.baselines.document import baselines_file, read_baselines
from experiments.baselines.features import classifier, feature_extractor, train_features
from experiments.baselines.fine_tuning import STEP_SIZES, FineTuning, fine_tune
from experiments.baselines.nearest_neighbour import nearest_neighbour
from experiments.baselines.plan import BaselinesPlan
from experiments.record import (
    HELD_OUT_TASKS,
    OTHER_DATA,
    Document,
    check_same_data,
    read_document,
    write_document,
)
from experiments.runs import Folders
from system.atomic_file import atomic_write
from utils.errors import UsageError, one_line
from utils.runs.datasets import EVALUATION_BATCH, held_out_episodes

Choice = TypeVar("Choice", bound=Hashable)


def finish_baselines(plan: BaselinesPlan, folders: Folders) -> None:
    """Measure the baselines and write their file, unless it is there.

    Raises:
        UsageError: it is of other data than that which is given.
    """
    file, document = baselines_file(folders.records), read_baselines(folders.records)
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

    def episodes(split: str, shot: int) -> Iterator[Episode]:
        drawn = held_out_episodes(
            source,
            split,
            tasks=plan.validation_tasks if split == "val" else plan.test_tasks,
            batch=EVALUATION_BATCH[plan.config.datasource],
            shot=shot,
            query=shot,
        )
        return (episode for _, episode in drawn)

    def trained() -> tuple[keras.Model, list[float]]:
        return train_features(
            *source.labelled_images("train"),
            episodes("val", 1),
            filters=plan.config.num_filters,
            epochs=plan.epochs,
            seed=plan.config.seed,
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
    untrained = feature_extractor(classifier(source.input_shape, 1, plan.config.num_filters))
    features, curve = _stored_features(done / "features.npz", untrained, trained)
    document: Document = {
        "held_out_tasks": HELD_OUT_TASKS,
        "data": data,
        "epochs": plan.epochs,
        "validation_accuracy": np.round(curve, 4).tolist(),
    }
    measure = {"nearest_neighbour": by_neighbours, "fine_tuning": by_fine_tuning}
    for name, baseline, shot in plan.results:
        file = done / f"{name}.json"
        found = read_document(file)
        if found is None:
            found = measure[baseline](shot)
            write_document(file, found)
        document[name] = found
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
