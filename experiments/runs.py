"""The one way to run an experiment: train, measure, record.

Stopped at any moment, the same call goes on where it was: training from its last checkpoint,
measuring after the last evaluation that is done. A finished experiment is not done again.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow import keras

from data_generators import TaskSource
from experiments.experiment import Experiment
from experiments.exports import (
    check_has_weights,
    check_learned_on,
    export_with_origin,
    is_export_of,
    restore_export,
    say_whose_weights,
)
from experiments.record import (
    NOT_OF_THIS_FORM,
    Document,
    Measured,
    Record,
    check_data,
    check_same_data,
    earlier_versions,
    read_document,
    read_record,
    write_document,
)
from maml_tnet import MetaLearner
from maml_tnet.replacing import not_replaceable
from system.atomic_file import write_text
from system.errors import FileError
from utils.command.configuration import Config
from utils.command.evaluation_settings import EvaluationSettings
from utils.command.memory_needs import check_memory
from utils.errors import TrainingDiverged, UsageError
from utils.reports.evaluation import measure
from utils.runs.assembly import build_learner, build_source
from utils.runs.checkpoints import Checkpoints
from utils.runs.datasets import EVALUATION_BATCH
from utils.runs.environment import environment
from utils.runs.folder import Run
from utils.runs.log_file import LogFile
from utils.runs.training import train
from utils.runs.used_data import UsedData, used_data

# Of regression, every task's loss is kept after these numbers of inner steps; accuracies after all.
STORED_STEPS = (0, 1, 5, 10)
# Iterations after which an experiment that can be hopeless is asked.
TRIAL = 5000
CURVE = ("iteration", "loss", "accuracy", "val_loss", "val_accuracy")


@dataclass(frozen=True)
class Folders:
    """Where experiments find and leave their files.

    Attributes:
        records: for the JSON files of finished experiments, and learning curves of image runs.
        workdir: for the runs and their checkpoints.
        data_path: of the data source.
        cache_dir: for its decoded images.
        pretrained: for SavedModels; None to make none.
        prefix: of the SavedModels' names.
    """

    records: Path
    workdir: Path
    data_path: str | None = None
    cache_dir: str = ""
    pretrained: Path | None = None
    prefix: str = ""

    def export(self, experiment: Experiment) -> Path | None:
        """The folder of an experiment's SavedModel."""
        return self.pretrained and self.pretrained / f"{self.prefix}{experiment.name}"


class Trained(NamedTuple):
    """A run's end: its last iteration or, where training diverged, its last checkpoint.

    Attributes:
        learner: with its weights.
        source: of its tasks.
        iterations: behind the weights.
        diverged_at: iteration at which the loss was not finite, or None.
        versions: and machine with which training began.
    """

    learner: MetaLearner
    source: TaskSource
    iterations: int
    diverged_at: int | None
    versions: dict[str, Any]


def finish(experiment: Experiment, folders: Folders) -> Record:
    """Train, measure, export and record what is not done yet.

    Raises:
        UsageError: the run's folder holds another run, or cannot be written; the record is of other
            data than that which is given; or something else is where the SavedModel goes,
            or one of the same settings with other weights.
        TrainingInterrupted: a signal came; the same call goes on from there.
    """
    record = read_record(experiment, folders.records)
    if record is not None:
        if folders.data_path is not None:
            record = check_data(record, fingerprint(experiment.config, folders), folders.records)
        return record
    export = folders.export(experiment)
    if export and (problem := not_replaceable(export)):
        raise UsageError(f"{export} {problem}: move it away, or name another --pretrained")
    run = _run(experiment, folders)
    trained = trained_run(experiment, folders)
    if export and is_export_of(experiment, export):
        check_has_weights(export, trained.learner)
    data = fingerprint_of(trained.source)
    kept = run.evaluation_folder / "-".join(filter(None, (f"after{trained.iterations}", data)))
    record = Record(
        experiment=experiment,
        iterations=trained.iterations,
        diverged_at=trained.diverged_at,
        mask_logits={
            layer.name: np.concatenate([np.ravel(zeta) for zeta in layer.mask_logits])
            for layer in trained.learner.network.transform_layers
            if layer.mask_logits
        },
        measured=_all_measured(experiment, trained, kept),
        trained_with=trained.versions,
        measured_with=_versions(environment()),
        data=data,
    )
    if run.log.path.exists():
        write_text(folders.records / f"{experiment.name}-curve.csv", _curve(run.log))
    if export and not is_export_of(experiment, export):
        export_with_origin(trained.learner, trained.source, experiment, export)
    # Last, as it says that the experiment is finished.
    record.write(folders.records)
    # Left there, they would be taken as measured when the record is removed to measure it again.
    shutil.rmtree(kept)
    keras.backend.clear_session()
    # As it is read from now on: rounded, and nan where a task diverged.
    return read_record(experiment, folders.records) or record


def trained_run(experiment: Experiment, folders: Folders) -> Trained:
    """A learner at the end of its training, which is done now as far as it is not.

    Where there is no run, but its SavedModel, the weights are taken from that.

    Raises:
        UsageError: what is measured already, or the SavedModel's weights, are of other data.
    """
    config, run = experiment.config, _run(experiment, folders)
    check_memory(config)
    source = build_source(config, folders.data_path, folders.cache_dir)
    check_same_data(folders.records, fingerprint_of(source))
    learner = build_learner(config, source)
    export = folders.export(experiment)
    if export and is_export_of(experiment, export):
        check_learned_on(export, fingerprint_of(source))
        if not run.checkpoint_folder.exists():
            say_whose_weights(export)
            restore_export(learner, export)
            versions = earlier_versions(experiment, folders.records)
            return Trained(learner, source, config.total_iterations, None, versions)
    if experiment.initialize:
        experiment.initialize(learner)
    diverged_at = None
    data = used_data(source, folders.data_path, folders.cache_dir)
    try:
        iterations = _train(experiment, run, learner, source, data)
    except TrainingDiverged as error:
        learner = build_learner(config, source)
        iterations = Checkpoints(run, learner).restore_latest()
        diverged_at = error.iteration
    return Trained(learner, source, iterations, diverged_at, _began_with(run))


def _train(
    experiment: Experiment,
    run: Run,
    learner: MetaLearner,
    source: TaskSource,
    data: UsedData | None,
) -> int:
    log = experiment.config.is_classification
    if experiment.hopeless and experiment.config.total_iterations > TRIAL:
        trial = Run(run.folder, replace(experiment.config, metatrain_iterations=TRIAL))
        trial.start(resume=True, data=data)
        train(trial, learner, source, log=log)
        if experiment.hopeless(learner):
            return TRIAL
    run.start(resume=True, data=data)
    iterations = train(run, learner, source, log=log)
    if iterations > experiment.config.total_iterations:
        raise UsageError(
            f"{run.folder} has {iterations} iterations, and {experiment.config.total_iterations} "
            "are asked for: name another --workdir"
        )
    return iterations


def fingerprint(config: Config, folders: Folders) -> str | None:
    """Of the data that is given; None for tasks that are drawn from numbers alone."""
    return fingerprint_of(build_source(config, folders.data_path, folders.cache_dir))


def fingerprint_of(source: TaskSource) -> str | None:
    """Of a source's images; None if it has none."""
    record = source.data_record
    return None if record is None else record.fingerprint


def _began_with(run: Run) -> dict[str, Any]:
    starts = run.starts()
    return _versions(starts[0]) if starts else {}


def _run(experiment: Experiment, folders: Folders) -> Run:
    return Run(folders.workdir / experiment.name, experiment.config)


def _all_measured(experiment: Experiment, trained: Trained, kept: Path) -> list[Measured]:
    # One kind of mask after the other, as each of them is compiled anew.
    by_mask = sorted(experiment.evaluations, key=lambda settings: settings.mask)
    found = {settings: _measured(experiment, trained, settings, kept) for settings in by_mask}
    return [found[settings] for settings in experiment.evaluations]


def _measured(
    experiment: Experiment, trained: Trained, settings: EvaluationSettings, kept: Path
) -> Measured:
    """Measure, unless the folder `kept` has it, which keeps it."""
    file = kept / f"{settings.split}-{settings.shot}shot-{settings.mask}.json"
    document = read_document(file)
    found = None if document is None else _stored(document, file)
    if found is None or found.settings != settings:
        found = _measure(experiment, trained, settings)
        write_document(file, found.to_dict())
    return found


def _stored(document: Document, file: Path) -> Measured:
    try:
        return Measured.from_dict(document)
    except NOT_OF_THIS_FORM as error:
        raise FileError(f"{file} is damaged: remove it, and it is measured again") from error


def _measure(experiment: Experiment, trained: Trained, settings: EvaluationSettings) -> Measured:
    learner = trained.learner
    learner.evaluation_updates = settings.num_steps
    if not experiment.config.is_classification:
        values = held_out_losses(learner, trained.source, settings, experiment.config)
        return Measured(settings, STORED_STEPS, values[:, STORED_STEPS])
    if learner.evaluation_mask != settings.mask:
        learner.evaluation_mask = settings.mask
        if learner.network.mask_logits:
            learner.predict_function = None  # compiled for the other kind of mask
    accuracies = measure(experiment.config, learner, trained.source, settings).accuracies
    return Measured(settings, tuple(range(accuracies.shape[1])), accuracies)


def held_out_losses(
    learner: MetaLearner, source: TaskSource, settings: EvaluationSettings, config: Any
) -> np.ndarray:
    """The held-out tasks' losses after 0, 1, ... inner steps, [tasks, steps + 1].

    The tasks are those of `utils.reports.evaluation.measure`. Nothing is compiled, their drawing
    neither: for a few batches of a small network that takes a tenth of the time that compiling
    their unrolled steps takes.
    """
    shot, query = settings.shot, settings.query
    source.check(settings.split, shot=shot, query=query)
    batch = EVALUATION_BATCH[config.datasource]
    losses = []
    for first in range(0, settings.num_tasks, batch):
        numbers = tf.range(first, first + batch)
        episode = source.held_out(settings.split, numbers, shot=shot, query=query)
        losses.append(learner.predict_step((numbers, episode))["loss"].numpy())
    return np.concatenate(losses)[: settings.num_tasks]


def _curve(log: LogFile) -> str:
    rows = zip(*log.columns(CURVE), strict=True)
    lines = [",".join(CURVE)]
    lines += [",".join(f"{value:.6g}" for value in row) for row in rows]
    return "\n".join(lines) + "\n"


def _versions(start: dict[str, Any]) -> dict[str, Any]:
    """Machine and software; the command stands beside the configuration."""
    return {name: value for name, value in start.items() if name != "command"}
