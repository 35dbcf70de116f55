"""A run's folder: its configuration, environment, logs and checkpoints.

config.json         what determines the run; another configuration is refused
environment.json    command, versions, git commit, one entry for each start
log.csv             one row per epoch
tensorboard/        event files
checkpoints/        model-ITERATION.*, the newest ten, and the pointer to the last complete one
best/               the checkpoint with the best validation result
evaluation/         tables, per-task values, plots
.lock               held by the process that trains the run
"""

import csv
import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import tensorflow as tf

from data_generators.atomic_file import atomic_write
from maml_tnet import MetaLearner
from maml_tnet.compat import keras_version, optimizer_variables, tf_variable
from utils.config import Config
from utils.errors import TrainingDiverged, UsageError, one_line

KEPT_CHECKPOINTS = 10
# What TensorFlow raises for a checkpoint that is damaged (if its data is cut short, an IndexError)
# or of other variables.
UNREADABLE = (tf.errors.OpError, ValueError, AssertionError, IndexError)


class Run:
    """The folder of one run.

    Args:
        folder: which need not exist.
        config: of the run.
    """

    def __init__(self, folder: Path, config: Config):
        self.folder = folder
        self.config = config
        self.checkpoint_folder = folder / "checkpoints"
        self.best_folder = folder / "best"
        self.evaluation_folder = folder / "evaluation"
        self.tensorboard_folder = folder / "tensorboard"
        self.log_file = folder / "log.csv"

    @classmethod
    def named_by(cls, config: Config, logdir: str) -> "Run":
        """The run that a configuration names below `logdir`."""
        return cls(Path(logdir) / config.run_name, config)

    def start(self, *, resume: bool) -> None:
        """Make the folder ready for training, or for going on with it.

        It is locked until this process ends, however it ends.

        Args:
            resume: go on with what is there; otherwise move it aside and start anew.

        Raises:
            UsageError: the folder holds a run with other settings, is locked by another process,
                or cannot be written.
        """
        try:
            if not resume and self.folder.exists():
                self._hold()
                self._move_aside()
            self.folder.mkdir(parents=True, exist_ok=True)
            self._hold()
            if self._config_file.exists():
                stored = self.check_config()
                prolonged = self.config.metatrain_iterations > stored.metatrain_iterations
            elif self.checkpoint_folder.exists():
                raise UsageError(
                    f"{self.folder} holds checkpoints but no config.json: choose another --logdir"
                )
            else:
                prolonged = True
            if prolonged:
                _write(self._config_file, self.config.to_json())
            self._record_environment()
        except OSError as error:
            raise UsageError(f"--logdir: cannot write {self.folder}: {error}") from error

    def check_config(self) -> Config:
        """Return the stored configuration; raise a UsageError unless it is this run's."""
        if not self._config_file.exists():
            raise UsageError(
                f"no run in {self.folder}: train it first, or name its --logdir and settings"
            )
        try:
            text = self._config_file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {self._config_file}: {error}") from error
        stored = Config.from_json(text, str(self._config_file))
        differences = self.config.differences(stored)
        if differences:
            raise UsageError(
                f"{self.folder} belongs to a run with other settings: {'; '.join(differences)}; "
                "give those, another --logdir, or --noresume, which moves it aside and trains anew"
            )
        return stored

    def trim_log(self, iteration: int) -> None:
        """Drop the rows of the log that are newer than the checkpoint training goes on from."""
        if not self.log_file.exists():
            return
        with self.log_file.open(newline="") as file:
            header, *rows = list(csv.reader(file)) or [[]]
        if "iteration" not in header:
            self.log_file.unlink()
            return
        column = header.index("iteration")
        # A process that was killed may have left half a row.
        kept = [r for r in rows if len(r) == len(header) and float(r[column]) <= iteration]
        lines = [",".join(row) + "\r\n" for row in [header, *kept]]  # as CSVLogger ends them
        _write(self.log_file, "".join(lines))

    @property
    def _config_file(self) -> Path:
        return self.folder / "config.json"

    def _hold(self) -> None:
        # lockf's lock is the process's, where flock's is the descriptor's: a run that failed can be
        # started again in it. Not closed: closing any descriptor of the file ends it.
        lock = os.open(self.folder / ".lock", os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            os.close(lock)
            raise UsageError(
                f"{self.folder} is being trained by another process: wait for its end or stop it, "
                "or choose another --logdir"
            ) from None

    def _move_aside(self) -> None:
        number = 1
        while (old := self.folder.with_name(f"{self.folder.name}.old{number}")).exists():
            number += 1
        self.folder.rename(old)
        print(f"moved the earlier run to {old}")

    def _record_environment(self) -> None:
        file = self.folder / "environment.json"
        try:
            starts = json.loads(file.read_text()) if file.exists() else []
        except ValueError as error:
            raise UsageError(f"{file} is not JSON: remove or repair it") from error
        starts.append(environment())
        _write(file, json.dumps(starts, indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as file:
        file.write(text.encode())


def environment() -> dict[str, str | None]:
    """Describe what runs: command, versions, git commit, machine, time."""
    source = Path(__file__).resolve().parent
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
            cwd=source,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = None
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join([os.path.basename(sys.executable), *sys.argv]),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras_version(),
        "numpy": np.__version__,
        "git_commit": commit,
        "machine": f"{platform.platform()}, {os.cpu_count()} cores",
    }


class Checkpoints:
    """Weights, optimizer state, iteration and best validation result, saved atomically.

    TensorFlow writes a checkpoint's files under temporary names and moves the pointer to it last,
    so a process killed at any moment leaves the last complete one in force.

    Args:
        run: whose folders to use.
        learner: compiled, with its optimizer built.

    Attributes:
        iteration: number of iterations done.
        best: best validation result so far, larger is better.
    """

    def __init__(self, run: Run, learner: MetaLearner):
        self.iteration = tf.Variable(0, dtype=tf.int64)
        self.best = tf.Variable(-np.inf, dtype=tf.float64)
        self._parameters = [tf_variable(v) for v in learner.trainable_variables]
        self._checkpoint = tf.train.Checkpoint(
            parameters=self._parameters,
            optimizer=[tf_variable(v) for v in optimizer_variables(learner.optimizer)],
            iteration=self.iteration,
            best=self.best,
        )
        self._latest = self._manager(run.checkpoint_folder, KEPT_CHECKPOINTS)
        self._best = self._manager(run.best_folder, 1)

    def _manager(self, folder: Path, kept: int) -> tf.train.CheckpointManager:
        try:
            return tf.train.CheckpointManager(
                self._checkpoint, str(folder), kept, checkpoint_name="model"
            )
        except ValueError as error:
            raise _corrupt_pointer(folder) from error

    def save(self, iteration: int, validation: float | None = None) -> None:
        """Save, and save once more as the best if `validation` is better than ever before.

        Raises:
            TrainingDiverged: the weights are not finite.
            UsageError: it cannot be written (a full disk); the last good checkpoint is intact.
        """
        # Gradients can overflow where the loss does not.
        if not all(np.all(np.isfinite(v.numpy())) for v in self._parameters):
            raise TrainingDiverged(iteration)
        try:
            self.iteration.assign(iteration)
            if validation is not None and validation > self.best.numpy():
                self.best.assign(validation)
                self._best.save(checkpoint_number=iteration)
            self._latest.save(checkpoint_number=iteration)
        except (tf.errors.OpError, OSError) as error:
            for manager in (self._latest, self._best):
                _remove_remains(manager, iteration)
            last = self._latest.latest_checkpoint
            raise UsageError(
                f"cannot save the checkpoint of iteration {iteration} in "
                f"{self._latest.directory}: {one_line(error)}; "
                + (f"the last good one is {last}" if last else "there is none yet")
            ) from error

    def restore_latest(self) -> int:
        """Restore the last complete checkpoint, if any; return the number of iterations done.

        Raises:
            UsageError: there are checkpoints, but the last one cannot be read.
        """
        latest = self._latest.latest_checkpoint or self._unrecorded()
        return self._restore(latest) if latest else 0

    def _unrecorded(self) -> str | None:
        """The newest readable checkpoint, where there is no pointer to the last one.

        A process that is killed while it saves its first checkpoint leaves the like.
        """
        folder = Path(self._latest.directory)
        if (folder / "checkpoint").exists():
            raise _corrupt_pointer(folder)
        indices = folder.glob("model-*.index")
        for index in sorted(indices, key=lambda p: int(p.stem.split("-")[1]), reverse=True):
            checkpoint = str(index.with_suffix(""))
            if _is_readable(checkpoint):
                return checkpoint
        return None

    def restore_best(self) -> int:
        """Restore the checkpoint with the best validation result."""
        if self._best.latest_checkpoint is None:
            raise UsageError(f"no best checkpoint in {self._best.directory}")
        return self._restore(self._best.latest_checkpoint)

    def restore_iteration(self, iteration: int) -> int:
        """Restore the checkpoint of one iteration."""
        wanted = str(Path(self._latest.directory) / f"model-{iteration}")
        if wanted not in self._latest.checkpoints:
            there = [path.rsplit("-", 1)[1] for path in self._latest.checkpoints]
            raise UsageError(
                f"--test_iter={iteration}: no such checkpoint in {self._latest.directory}; "
                f"there are {', '.join(there) or 'none'}"
            )
        return self._restore(wanted)

    def _restore(self, path: str) -> int:
        try:
            self._checkpoint.restore(path).assert_consumed()
        except UNREADABLE as error:
            raise UsageError(
                f"checkpoint {path} is corrupt or of another architecture: {one_line(error)}"
            ) from error
        return int(self.iteration.numpy())


def _is_readable(checkpoint: str) -> bool:
    try:
        reader = tf.train.load_checkpoint(checkpoint)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)  # verifies its checksum
    except UNREADABLE:
        return False
    return True


def _corrupt_pointer(folder: Path) -> UsageError:
    return UsageError(
        f"{folder}/checkpoint, which names the last checkpoint, is corrupt: restore it, or start "
        "anew with --noresume"
    )


def _remove_remains(manager: tf.train.CheckpointManager, iteration: int) -> None:
    """Delete the files of a checkpoint that could not be written completely."""
    if manager.latest_checkpoint and manager.latest_checkpoint.endswith(f"model-{iteration}"):
        return
    for path in Path(manager.directory).glob(f"model-{iteration}[._]*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
