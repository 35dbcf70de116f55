"""A run's folder: its configuration, environment, logs and checkpoints.

config.json         the flags that determine the run; another configuration is refused
data.json           the classes of the images that it is trained on; other data is refused
environment.json    command, versions, git commit, iteration, one entry for each start
log.csv, log.json   one row per epoch, and the checksum of these rows
epoch.json          the sums behind the means of an epoch that was interrupted
tensorboard/        event files
checkpoints/        model-ITERATION.*, the newest ten, and the pointer to the last complete one
best/               the checkpoint with the best validation result
evaluation/         tables, per-task values, plots
.lock               held by the process that trains the run

JSON files and checkpoints carry checksums.
"""

import os
from pathlib import Path
from typing import Any

import tensorflow as tf

from data_generators.errors import reason
from system.atomic_file import remove_remains
from system.errors import FileError
from system.json_file import read_objects, write_json
from system.lock import hold, let_go
from utils.command.configuration import Config
from utils.errors import UsageError
from utils.runs.checkpoint_files import CheckpointFolder
from utils.runs.environment import environment
from utils.runs.log_file import LogFile
from utils.runs.used_data import UsedData

LOCK = ".lock"


class Run:
    """The folder of one run.

    Args:
        folder: which need not exist.
        config: of the run.
    """

    # What a refusal tells to do, by the flags of main.py; another program says its own.
    NAMED_BY = "--run, or by --logdir and its settings"
    ELSEWHERE = "another --logdir"
    ANEW = "--noresume, which moves it aside and trains anew"

    def __init__(self, folder: Path, config: Config):
        self.folder = folder
        self.config = config
        self.checkpoint_folder = folder / "checkpoints"
        self.best_folder = folder / "best"
        self.evaluation_folder = folder / "evaluation"
        self.tensorboard_folder = folder / "tensorboard"
        self.log = LogFile(folder)
        self.data_file = folder / "data.json"
        self.epoch_file = folder / "epoch.json"

    @classmethod
    def named_by(cls, config: Config, logdir: str) -> "Run":
        """The run that a configuration names below `logdir`."""
        return cls(Path(logdir) / config.run_name, config)

    @classmethod
    def opened(cls, folder: Path) -> "Run":
        """The run that a folder holds.

        Raises:
            UsageError: there is none, or its configuration is damaged.
        """
        file = folder / "config.json"
        if not os.path.exists(file) and not _is_closed(folder):
            raise UsageError(
                f"no run in {folder}: train it first, or name its folder by {cls.NAMED_BY}"
            )
        return cls(folder, Config.read(file))

    def start(self, *, resume: bool, data: UsedData | None = None) -> None:
        """Make the folder ready for training, or for going on with it.

        It is locked until this process ends, however it ends. What an earlier one that was killed
        left half written is removed.

        Args:
            resume: go on with what is there; otherwise move it aside and start anew.
            data: that it is trained on; None where tasks are drawn from numbers alone.

        Raises:
            UsageError: the folder holds a run with other settings, of other data, or without the
                checkpoints that its results are of; is locked by another process, or cannot be
                written.
        """
        try:
            if not resume and self.folder.exists():
                self._hold()
                self._move_aside()
            self.folder.mkdir(parents=True, exist_ok=True)
            self._hold()
            self.check_folders()
            for folder in filter(Path.is_dir, self._folders):
                if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                    raise UsageError(
                        f"{folder} cannot be read and written: choose {self.ELSEWHERE}"
                    )
            if self._config_file.exists():
                stored = self.check_config()
                self.check_data(data, f", {self.ELSEWHERE}, or {self.ANEW}")
                self._check_goes_on()
                prolonged = self.config.metatrain_iterations > stored.metatrain_iterations
            elif self.checkpoint_folder.exists():
                raise UsageError(
                    f"{self.folder} holds checkpoints but no config.json: choose {self.ELSEWHERE}"
                )
            else:
                prolonged = True
                if data is not None:
                    # Before the configuration, which makes the folder a run.
                    data.write(self.data_file)
            if prolonged:
                self.config.write(self._config_file)
            self._record_environment()
            self._remove_remains()
        except OSError as error:
            raise UsageError(
                f"cannot write {error.filename or self.folder}: {reason(error)}"
            ) from error

    def check_config(self) -> Config:
        """Return the stored configuration; raise a UsageError unless it is this run's."""
        stored = self.opened(self.folder).config
        if differences := self.config.differences(stored):
            raise UsageError(
                f"{self.folder} belongs to a run with other settings: {'; '.join(differences)}; "
                f"give those, {self.ELSEWHERE}, or {self.ANEW}"
            )
        return stored

    def noted_data(self) -> UsedData | None:
        """The data that the run was trained on; None where it has not been noted.

        Raises:
            FileError: the file that says it is damaged.
        """
        return UsedData.read(self.data_file) if self.data_file.exists() else None

    def check_data(self, data: UsedData | None, advice: str = "") -> None:
        """Check that the run was trained on this data; where it lies may change.

        A run of an earlier version, which did not note its data, is taken to be of this.

        Args:
            data: that is given; None where tasks are drawn from numbers alone.
            advice: what else can be done about other data than to give the run's.

        Raises:
            UsageError: it was trained on other data; the line says what differs.
            FileError: the file that says what data it was is damaged.
        """
        if data is None:
            return
        stored = self.noted_data()
        if stored is None:
            print(
                f"{self.folder} does not say what data it was trained on, as earlier versions did "
                f"not note it: it is taken to be that in {data.place}"
            )
            data.write(self.data_file)
            return
        if differences := data.record.differences(stored.record):
            raise UsageError(
                f"{self.folder} belongs to a run on other data: {'; '.join(differences)}; give "
                f"that data, which lay in {stored.place}{advice}"
            )
        if data != stored:
            data.write(self.data_file)

    def check_other_folder(self, folder: Path, flag: str) -> None:
        """Raise a UsageError if a SavedModel's folder, without links, is one that a run needs."""
        own = Path(os.path.realpath(self.folder))
        needed = [own, *own.parents]
        needed += [own / at.name for at in self._folders]
        if folder in needed:
            raise UsageError(f"{flag} is a folder of the run itself: name one that is not there")

    def starts(self) -> list[dict[str, Any]]:
        """What `environment` said at every start, the first one first, and the iterations done.

        Earlier versions did not note these.

        Raises:
            FileError: the file is missing or damaged.
        """
        return read_objects(self._environment_file)

    def other_version(self) -> str:
        """Where the run was trained with another TensorFlow than this, both; empty otherwise."""
        try:
            trained = self.starts()[0].get("tensorflow")  # the last one may be this one
        except (FileError, IndexError):
            return ""
        if trained in (None, tf.__version__):
            return ""
        return f"it was trained with TensorFlow {trained}, this is {tf.__version__}"

    @property
    def _folders(self) -> tuple[Path, ...]:
        return (
            self.checkpoint_folder,
            self.best_folder,
            self.evaluation_folder,
            self.tensorboard_folder,
        )

    @property
    def _config_file(self) -> Path:
        return self.folder / "config.json"

    @property
    def _environment_file(self) -> Path:
        return self.folder / "environment.json"

    @property
    def _lock_file(self) -> Path:
        return self.folder / LOCK

    def _hold(self) -> None:
        if not hold(self._lock_file):
            raise UsageError(
                f"{self.folder} is being trained by another process: wait for its end or stop it, "
                f"or choose {self.ELSEWHERE}"
            )

    def check_evaluation_can_be_kept(self) -> None:
        """Raise a UsageError if an evaluation's files cannot be written."""
        folder = self.evaluation_folder if self.evaluation_folder.is_dir() else self.folder
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UsageError(
                f"{folder} cannot be written, where the evaluation's files go: evaluate a copy of "
                "the run"
            )

    def check_folders(self) -> None:
        """Raise a UsageError if something else is where the run has a folder."""
        for folder in self._folders:
            if os.path.lexists(folder) and not folder.is_dir():
                kind = "a link to nothing" if folder.is_symlink() else "a file"
                raise UsageError(f"{folder} is {kind} where a run has a folder: move it away")

    def _check_goes_on(self) -> None:
        """Raise a UsageError where a training would begin anew over the results of another."""
        results = [*self.evaluation_folder.glob("*.csv"), *self.folder.glob("saved_model")]
        checkpoints = CheckpointFolder(self.checkpoint_folder, 1)
        if results and checkpoints.latest is None and not checkpoints.complete():
            raise UsageError(
                f"{self.folder} has results of a training, {results[0].name} among them, but no "
                f"checkpoint to go on from: put those back, or {self.ANEW}"
            )

    def _move_aside(self) -> None:
        number = 1
        while (old := self.folder.with_name(f"{self.folder.name}.old{number}")).exists():
            number += 1
        if os.name == "nt":  # which renames no folder with an open file in it, ours or another's
            let_go(self._lock_file)
        self.folder.rename(old)
        print(f"moved the earlier run to {old}")

    def _record_environment(self) -> None:
        starts = self.starts() if self._environment_file.exists() else []
        done = CheckpointFolder(self.checkpoint_folder, 1).latest or 0
        here = {**environment(), "iteration": done}
        write_json(self._environment_file, [*starts, here], indent=2)

    def _remove_remains(self) -> None:
        for folder in (self.checkpoint_folder, self.best_folder):
            CheckpointFolder(folder, 1).remove_remains()
        for folder in (self.folder, self.evaluation_folder):
            remove_remains(folder)


def _is_closed(folder: Path) -> bool:
    """Whether a folder is there, but not to be looked into, so that reading it says why."""
    return folder.is_dir() and not os.access(folder, os.X_OK)
