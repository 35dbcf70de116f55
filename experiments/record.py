"""The result of an experiment as one JSON file, and whether an experiment is finished."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.documents import (
    MADE_AGAIN,
    NOT_OF_THIS_FORM,
    Document,
    entry,
    numbers,
    parsed,
    read_document,
    rounded,
    write_document,
)
from experiments.experiment import Experiment
from utils.command.configuration import Config
from utils.command.evaluation_settings import EvaluationSettings
from utils.errors import UsageError

# What the records of all versions have.
KEYS = ("configuration", "evaluations")
# Of regression, every task's loss is kept after these numbers of inner steps; accuracies after all.
STORED_STEPS = (0, 1, 5, 10)
# How held-out tasks are drawn. Values of other tasks do not compare, so they count as missing.
HELD_OUT_TASKS = "each by its number"
OTHER_DATA = "was measured on other data: give that data, or another --output and --workdir"


@dataclass(frozen=True)
class Measured:
    """What one evaluation gave.

    Attributes:
        settings: of the evaluation.
        steps: the numbers of inner steps.
        values: loss, or in classification accuracy as a fraction, [tasks, steps]; nan where a task
            diverged.
    """

    settings: EvaluationSettings
    steps: tuple[int, ...]
    values: np.ndarray

    def after(self, steps: int) -> np.ndarray:
        """The values after a number of inner steps, [tasks]."""
        return self.values[:, self.steps.index(steps)]

    def to_dict(self) -> Document:
        """As `from_dict` reads it."""
        return {
            "settings": asdict(self.settings),
            "steps": list(self.steps),
            "per_task": rounded(self.values),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Measured":
        """Raises one of `NOT_OF_THIS_FORM` where it is not of this form."""
        settings = EvaluationSettings(**entry(document, "settings", dict))
        steps = tuple(entry(document, "steps", list))
        shape = (settings.num_tasks, len(steps))
        return cls(settings, steps, numbers(document, "per_task", shape))


@dataclass(frozen=True)
class Record:
    """What a finished experiment's file says.

    Attributes:
        experiment: whose result it is.
        iterations: behind the weights that were evaluated.
        diverged_at: iteration at which training met a loss that is not finite, or None.
        mask_logits: zeta by layer; empty without masks.
        measured: one for each of the experiment's evaluations.
        trained_with: versions and machine with which training began.
        measured_with: versions and machine of the evaluation.
        data: fingerprint of the images; None of tasks without, and where it has not been noted.
        went_on_with: other versions and machines with which training went on, in their order, and
            under "iteration" from where, if that was noted.
    """

    experiment: Experiment
    iterations: int
    diverged_at: int | None
    mask_logits: Mapping[str, np.ndarray]
    measured: Sequence[Measured]
    trained_with: Mapping[str, Any]
    measured_with: Mapping[str, Any]
    data: str | None = None
    went_on_with: Sequence[Mapping[str, Any]] = ()

    def find(
        self, *, shot: int | None = None, split: str = "test", mask: str = "sample"
    ) -> Measured | None:
        """The evaluation with these settings, or None; of any shot where none is given."""
        for found in self.measured:
            settings = found.settings
            if (settings.split, settings.mask) == (split, mask) and shot in (None, settings.shot):
                return found
        return None

    def after(self, steps: int, shot: int = 10) -> np.ndarray:
        """The test tasks' values after a number of inner steps, [tasks].

        Raises:
            ValueError: it was not evaluated with this shot, or not after so many steps.
        """
        found = self.find(shot=shot)
        if found is None:
            raise ValueError(f"{self.experiment.name} was not evaluated with {shot} examples")
        return found.after(steps)

    @property
    def update_probability(self) -> float:
        """P(update) = sigmoid(zeta), averaged over all logits of the network."""
        return float(np.mean(sigmoid(np.concatenate(list(self.mask_logits.values())))))

    def layer_update_probability(self, layer: str) -> float:
        """P(update) averaged over the logits of one layer.

        Raises:
            UsageError: the record has none of this layer.
        """
        if layer not in self.mask_logits:
            raise UsageError(
                f"{self.experiment.name}.json has no mask logits of {layer}, as others have; "
                f"{MADE_AGAIN}"
            )
        return float(np.mean(sigmoid(self.mask_logits[layer])))

    def write(self, folder: Path) -> None:
        """Write NAME.json into the folder, whole or not at all."""
        document = {
            "name": self.experiment.name,
            "main.py": " ".join(self.experiment.flags),
            "configuration": self.experiment.config.to_dict(),
            "held_out_tasks": HELD_OUT_TASKS,
            "data": self.data,
            "iterations": self.iterations,
            "diverged_at": self.diverged_at,
            "trained_with": dict(self.trained_with),
            "went_on_with": [dict(start) for start in self.went_on_with],
            "measured_with": dict(self.measured_with),
            "mask_logits": {name: rounded(zeta) for name, zeta in self.mask_logits.items()},
            "evaluations": [measured.to_dict() for measured in self.measured],
        }
        write_document(record_file(self.experiment, folder), document)


def read_record(experiment: Experiment, folder: Path) -> Record | None:
    """The record of a finished experiment.

    None if there is none, or it is of an earlier version's tasks or form, of another configuration,
    or lacks an evaluation.

    Raises:
        FileError: it is damaged, or no record of any version.
    """
    document = read_document(record_file(experiment, folder), KEYS)
    try:
        if document is None or document["held_out_tasks"] != HELD_OUT_TASKS:
            return None
        record = _record(experiment, document)
        stored = Config.from_dict(document["configuration"], experiment.name)
    except NOT_OF_THIS_FORM:
        return None
    evaluated = [measured.settings for measured in record.measured]
    wanted = experiment.evaluations
    return record if stored == experiment.config and evaluated == wanted else None


def _record(experiment: Experiment, document: Document) -> Record:
    """Raises one of `NOT_OF_THIS_FORM` where the document is not of this form."""
    config = experiment.config
    data, diverged_at = document.get("data"), document["diverged_at"]
    masks = entry(document, "mask_logits", dict)
    record = Record(
        experiment=experiment,
        iterations=entry(document, "iterations", int),
        diverged_at=None if diverged_at is None else entry(document, "diverged_at", int),
        mask_logits={layer: numbers(masks, layer) for layer in masks},
        measured=[Measured.from_dict(found) for found in entry(document, "evaluations", list)],
        trained_with=entry(document, "trained_with", dict),
        measured_with=entry(document, "measured_with", dict),
        data=None if data is None else entry(document, "data", str),
        went_on_with=_later_versions(document),
    )
    if bool(masks) != config.use_M:
        raise ValueError("'mask_logits' must be there with --use_M, and only then")
    # What tables are made of.
    needed = {config.num_updates} if config.is_classification else {*STORED_STEPS}
    if not all(needed.issubset(measured.steps) for measured in record.measured):
        raise ValueError(f"'steps' must have {sorted(needed)}")
    return record


def _later_versions(document: Document) -> list[Document]:
    """Those with which training went on, which earlier versions did not note."""
    later = entry({"went_on_with": [], **document}, "went_on_with", list)
    return [entry({"went_on_with": start}, "went_on_with", dict) for start in later]


def check_data(record: Record, data: str | None, folder: Path) -> Record:
    """Check that a record is of this data.

    Records of version 0.3.0 and before do not say of which data they are: such a one is taken to be
    of this, and written anew.

    Args:
        record: of a finished experiment.
        data: fingerprint of the data that is given.
        folder: of the record's file.

    Returns:
        the record, which says its data.

    Raises:
        UsageError: it is of other data.
    """
    file = record_file(record.experiment, folder)
    if record.data is None and data is not None:
        print(
            f"{file} does not say what data it was measured on, as earlier versions did not note "
            "it: it is taken to be the data that is given"
        )
        record = replace(record, data=data)
        record.write(folder)
    if record.data != data:
        raise UsageError(f"{file} {OTHER_DATA}")
    return record


def check_same_data(folder: Path, data: str | None) -> None:
    """Check that all results in a folder, which come onto one page, are of one data set.

    Args:
        folder: of JSON files; those that do not say their data are passed over.
        data: fingerprint of the data that is given; None of tasks without.

    Raises:
        UsageError: one is of other data.
        FileError: one is damaged, or no object.
    """
    for file in sorted(folder.glob("*.json")) if data is not None else ():
        found = (read_document(file) or {}).get("data")
        if isinstance(found, str) and found != data:
            raise UsageError(f"{file} {OTHER_DATA}")


def read_records(experiments: Iterable[Experiment], folder: Path) -> dict[str, Record]:
    """Name -> record of those experiments that are finished."""
    found = ((e.name, read_record(e, folder)) for e in experiments)
    return {name: record for name, record in found if record is not None}


def earlier_versions(
    experiment: Experiment, folder: Path
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The versions with which a run was trained, and went on, if an earlier file says so.

    For weights that come from a SavedModel, whose run is gone.

    Raises:
        FileError: that file is damaged, or no record of any version.
    """
    file = record_file(experiment, folder)
    document = read_document(file, KEYS) or {}
    versions = document.get("trained_with", document.get("versions"))
    later = parsed(file, lambda: _later_versions(document))
    return versions if isinstance(versions, dict) else {}, later


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-logits)), elementwise."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(logits, np.float64)))


def record_file(experiment: Experiment, folder: Path) -> Path:
    """Where the record of an experiment stands, below the folder of the records."""
    return folder / f"{experiment.name}.json"
