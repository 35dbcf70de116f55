"""Weights, optimizer and iteration of a run, saved atomically and found again."""

import shutil
from pathlib import Path

import numpy as np
import tensorflow as tf

from maml_tnet import MetaLearner
from maml_tnet.compat import optimizer_variables, tf_variable
from utils.errors import TrainingDiverged, UsageError, one_line
from utils.runs.folder import Run

KEPT_CHECKPOINTS = 10
# What TensorFlow raises for a checkpoint that is damaged (if its data is cut short, an IndexError)
# or of other variables.
UNREADABLE = (tf.errors.OpError, ValueError, AssertionError, IndexError)


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
        self._folder = run.folder
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

    def restore(self, chosen: int | str) -> tuple[str, int]:
        """Restore the checkpoint to evaluate.

        Args:
            chosen: the number of an iteration, "best" or "last".

        Returns:
            what it is called in file names ("iteration500", "best", "last"), and the number of
            iterations done.

        Raises:
            UsageError: it is not there or cannot be read.
        """
        match chosen:
            case "best":
                name, iteration = "best", self.restore_best()
            case "last":
                name, iteration = "last", self.restore_latest()
            case _:
                name, iteration = f"iteration{chosen}", self.restore_iteration(int(chosen))
        if iteration == 0:
            raise UsageError(f"{self._folder} has no checkpoint yet: train it first")
        return name, iteration

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
