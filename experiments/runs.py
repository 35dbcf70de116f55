"""The one way to run an experiment: train, measure, record.

Stopped at any moment, the same call goes on where it was: training from its last checkpoint,
measuring after the last evaluation that is done. A finished experiment is not done again.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
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
from experiments.measuring import measure_all
from experiments.record import (
    Record,
    check_data,
    check_same_data,
    earlier_versions,
    read_record,
    record_file,
)
from maml_tnet import MetaLearner
from maml_tnet.replacing import not_replaceable
from system.atomic_file import write_text
from utils.command.configuration import Config
from utils.command.memory_needs import check_memory
from utils.errors import TrainingDiverged, UsageError
from utils.runs.assembly import build_learner, build_source
from utils.runs.checkpoint_files import CheckpointFolder
from utils.runs.checkpoints import KEPT_CHECKPOINTS, Checkpoints
from utils.runs.environment import environment
from utils.runs.folder import Run
from utils.runs.log_file import LogFile
from utils.runs.training import train
from utils.runs.used_data import UsedData, used_data

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


class ExperimentRun(Run):
    """A run as `main.py` has it, whose refusals name the flags of the experiments."""

    NAMED_BY = "--run"
    ELSEWHERE = "another --workdir"
    ANEW = "move it away, and it is trained anew"


class Trained(NamedTuple):
    """A run's end: its last iteration or, where training diverged, its last checkpoint.

    Attributes:
        learner: with its weights.
        source: of its tasks.
        iterations: behind the weights.
        diverged_at: iteration at which the loss was not finite, or None.
        versions: and machine with which training began.
        later_versions: others with which it went on, and the iterations done before.
    """

    learner: MetaLearner
    source: TaskSource
    iterations: int
    diverged_at: int | None
    versions: dict[str, Any]
    later_versions: Sequence[dict[str, Any]] = ()


def finish(experiment: Experiment, folders: Folders) -> Record:
    """Train, measure, export and record what is not done yet.

    Raises:
        UsageError: the run's folder holds another run, or cannot be written; the record is of other
            data than that which is given; or something else is where the SavedModel goes,
            or one of the same settings with other weights; or there is a record, but no SavedModel,
            and no run any more of which to make it.
        FileError: the record is damaged, or something else.
        TrainingInterrupted: a signal came; the same call goes on from there.
    """
    record = read_record(experiment, folders.records)
    export = folders.export(experiment)
    if record is not None:
        if folders.data_path is not None:
            record = check_data(record, fingerprint(experiment.config, folders), folders.records)
        if export and not is_export_of(experiment, export):
            _check_replaceable(export)
            check_begun(experiment, folders)
            trained = trained_run(experiment, folders)
            export_with_origin(trained.learner, trained.source, experiment, export)
        return record
    if (file := record_file(experiment, folders.records)).exists():
        print(f"{file} is of another version or other settings: it is made anew", flush=True)
    if export:
        _check_replaceable(export)
    trained = trained_run(experiment, folders)
    if export and is_export_of(experiment, export):
        check_has_weights(export, trained.learner)
    record, kept = measured(experiment, trained, folders)
    log = _run(experiment, folders).log
    if log.path.exists():
        curve = _curve(log, trained.iterations)
        write_text(folders.records / f"{experiment.name}-curve.csv", curve)
    if export and not is_export_of(experiment, export):
        export_with_origin(trained.learner, trained.source, experiment, export)
    # Last, as it says that the experiment is finished.
    return written(record, folders.records, kept)


def _check_replaceable(export: Path) -> None:
    if problem := not_replaceable(export):
        raise UsageError(f"{export} {problem}: move it away, or name another --pretrained")


def measured(experiment: Experiment, trained: Trained, folders: Folders) -> tuple[Record, Path]:
    """Measure what is not measured yet of a run's weights.

    Args:
        experiment: whose evaluations are made.
        trained: its learner, and the source of the tasks.
        folders: of the run.

    Returns:
        the record, and the folder that keeps what was measured until that is `written`.
    """
    data = fingerprint_of(trained.source)
    name = "-".join(filter(None, (f"after{trained.iterations}", data)))
    kept = _run(experiment, folders).evaluation_folder / name
    record = Record(
        experiment=experiment,
        iterations=trained.iterations,
        diverged_at=trained.diverged_at,
        mask_logits={
            layer.name: np.concatenate([np.ravel(zeta) for zeta in layer.mask_logits])
            for layer in trained.learner.network.transform_layers
            if layer.mask_logits
        },
        measured=measure_all(experiment, trained.learner, trained.source, kept),
        trained_with=trained.versions,
        measured_with=_versions(environment()),
        data=data,
        went_on_with=trained.later_versions,
    )
    return record, kept


def written(record: Record, folder: Path, kept: Path) -> Record:
    """Write a record, and return it as it is read from now on.

    Args:
        record: of a finished experiment.
        folder: of its file.
        kept: see `measured`.
    """
    record.write(folder)
    # Left there, they would be taken as measured when the record is removed to measure it again.
    shutil.rmtree(kept)
    keras.backend.clear_session()
    # Rounded, and nan where a task diverged.
    return read_record(record.experiment, folder) or record


def trained_run(experiment: Experiment, folders: Folders) -> Trained:
    """A learner at the end of its training, which is done now as far as it is not.

    Where there is no run, but its SavedModel, the weights are taken from that.

    Raises:
        UsageError: what is measured already, or the SavedModel's weights, are of other data; the
            run was trained longer, and its checkpoint of that iteration is gone; or it does not fit
            into memory.
    """
    config, run = experiment.config, _run(experiment, folders)
    check_memory(config, what=f"the experiment {experiment.name}", flag_names=())
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
            return Trained(learner, source, config.total_iterations, None, *versions)
    if experiment.initialize:
        experiment.initialize(learner)
    diverged_at = None
    data = used_data(source, folders.data_path, folders.cache_dir)
    try:
        iterations = _train(experiment, run, learner, source, data, export)
    except TrainingDiverged as error:
        learner = build_learner(config, source)
        iterations = Checkpoints(run, learner).restore_latest()
        diverged_at = error.iteration
    began, went_on = _trained_with(run, iterations)
    return Trained(learner, source, iterations, diverged_at, began, went_on)


def _train(
    experiment: Experiment,
    run: Run,
    learner: MetaLearner,
    source: TaskSource,
    data: UsedData | None,
    export: Path | None,
) -> int:
    log = experiment.config.is_classification
    if experiment.hopeless and experiment.config.total_iterations > TRIAL:
        trial = ExperimentRun(run.folder, replace(experiment.config, metatrain_iterations=TRIAL))
        trial.start(resume=True, data=data)
        train(trial, learner, source, log=log)
        if experiment.hopeless(learner):
            return TRIAL
    run.start(resume=True, data=data)
    total = run.config.total_iterations
    if export and is_export_of(experiment, export):
        latest = CheckpointFolder(run.checkpoint_folder, KEPT_CHECKPOINTS).latest
        # A model of fewer iterations is of a training that diverged, and has its weights.
        if latest is not None and latest < total:
            Checkpoints(run, learner).restore_latest()
            check_has_weights(export, learner)
    done = train(run, learner, source, log=log)
    if done > total:
        _restore(run, learner, total, done)
    return total


def _restore(run: Run, learner: MetaLearner, iteration: int, done: int) -> None:
    """Give a learner the weights of an earlier iteration of a run that was trained longer.

    Raises:
        UsageError: there is no checkpoint of it any more.
    """
    there = CheckpointFolder(run.checkpoint_folder, KEPT_CHECKPOINTS).numbers
    if iteration not in there:
        raise UsageError(
            f"{run.folder} has {done} iterations and no checkpoint of iteration {iteration} any "
            f"more; there are {', '.join(map(str, there))}"
        )
    Checkpoints(run, learner).restore_iteration(iteration)


def begun(experiment: Experiment, folders: Folders) -> bool:
    """Whether there are weights of a run: checkpoints, or its SavedModel."""
    export = folders.export(experiment)
    return _run(experiment, folders).checkpoint_folder.exists() or (
        export is not None and is_export_of(experiment, export)
    )


def check_begun(experiment: Experiment, folders: Folders) -> None:
    """Raise a UsageError where `trained_run` would begin to train what is on record already."""
    if not begun(experiment, folders):
        raise UsageError(
            f"{_run(experiment, folders).folder} is gone, the run whose results {folders.records} "
            "has: put it back, or name its --workdir"
        )


def fingerprint(config: Config, folders: Folders) -> str | None:
    """Of the data that is given; None for tasks that are drawn from numbers alone."""
    return fingerprint_of(build_source(config, folders.data_path, folders.cache_dir))


def fingerprint_of(source: TaskSource) -> str | None:
    """Of a source's images; None if it has none."""
    record = source.data_record
    return None if record is None else record.fingerprint


def _trained_with(run: Run, iterations: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The versions and machine with which a run began, and others with which it went on.

    Args:
        run: its folder.
        iterations: behind the weights; later starts do not count.
    """
    first: dict[str, Any] = {}
    others: dict[str, dict[str, Any]] = {}
    for number, start in enumerate(run.starts()):
        done = start.get("iteration")  # earlier versions did not note it
        versions = _versions(start)
        if number == 0:
            first = versions
        elif done is None or done < iterations:
            stack = {name: value for name, value in versions.items() if name != "time"}
            if stack.items() - first.items():
                since = {} if done is None else {"iteration": done}
                others.setdefault(str(stack), since | versions)
    return first, list(others.values())


def _run(experiment: Experiment, folders: Folders) -> Run:
    return ExperimentRun(folders.workdir / (experiment.run or experiment.name), experiment.config)


def _curve(log: LogFile, iterations: int) -> str:
    rows = [row for row in zip(*log.columns(CURVE), strict=True) if row[0] <= iterations]
    lines = [",".join(CURVE)]
    lines += [",".join(f"{value:.6g}" for value in row) for row in rows]
    return "\n".join(lines) + "\n"


def _versions(start: dict[str, Any]) -> dict[str, Any]:
    """Machine and software; the command stands beside the configuration."""
    return {name: value for name, value in start.items() if name not in ("command", "iteration")}
