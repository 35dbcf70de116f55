"""Weights, optimizer and iteration of a run, saved atomically and found again."""

import numpy as np
import tensorflow as tf

from maml_tnet import MetaLearner
from maml_tnet.checksums import ChecksumError, UnreadableError
from maml_tnet.compat import optimizer_variables, tf_variable
from maml_tnet.patterns import readable_prefix
from utils.errors import TrainingDiverged, UsageError, one_line
from utils.runs.checkpoint_files import CheckpointFolder
from utils.runs.folder import Run

KEPT_CHECKPOINTS = 10
# What a checkpoint that is damaged (if its data is cut short, an IndexError) or of other variables
# raises.
DAMAGED = (tf.errors.OpError, ValueError, AssertionError, IndexError, ChecksumError)


class Checkpoints:
    """Weights, optimizer state, iteration and best validation result, saved atomically.

    Args:
        run: whose folders to use.
        learner: compiled, with its optimizer built.

    Attributes:
        iteration: number of iterations done.
        best: best validation result so far, larger is better.

    Raises:
        UsageError: a pointer to the last checkpoint is damaged.
    """

    def __init__(self, run: Run, learner: MetaLearner):
        self._folder = run.folder
        self._other_version = run.other_version
        self.iteration = tf.Variable(0, dtype=tf.int64)
        self.best = tf.Variable(-np.inf, dtype=tf.float64)
        self._parameters = [tf_variable(v) for v in learner.trainable_variables]
        self._optimizer = [tf_variable(v) for v in optimizer_variables(learner.optimizer)]
        self._checkpoint = tf.train.Checkpoint(
            parameters=self._parameters,
            optimizer=self._optimizer,
            iteration=self.iteration,
            best=self.best,
        )
        self._latest = CheckpointFolder(run.checkpoint_folder, KEPT_CHECKPOINTS)
        self._best = CheckpointFolder(run.best_folder, 1)

    @property
    def variables(self) -> list[tf.Variable]:
        """All that a checkpoint holds of a run."""
        return [*self._parameters, *self._optimizer, self.iteration, self.best]

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
                self._best.save(iteration, self._write)
            self._latest.save(iteration, self._write)
        except (tf.errors.OpError, OSError) as error:
            for folder in (self._latest, self._best):
                folder.discard(iteration)
            last = self._latest.latest
            raise UsageError(
                f"cannot save the checkpoint of iteration {iteration} in "
                f"{self._latest.path}: {one_line(error)}; "
                + (
                    f"the last good one is {self._latest.prefix(last)}"
                    if last
                    else "there is none yet"
                )
            ) from error

    def _write(self, prefix: str) -> None:
        self._checkpoint.save_counter.assign_add(1)
        self._checkpoint.write(prefix)

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
        latest = self._latest.latest
        if latest is None:
            # A process that was killed while it saved its first checkpoint leaves no pointer.
            readable = (n for n in self._latest.complete() if self._is_readable(n))
            latest = next(readable, None)
        return 0 if latest is None else self._restore(self._latest, latest)

    def restore_best(self) -> int:
        """Restore the checkpoint with the best validation result."""
        if self._best.latest is None:
            raise UsageError(
                f"no best checkpoint in {self._best.path}: runs on images have one, by validation"
            )
        return self._restore(self._best, self._best.latest)

    def restore_iteration(self, iteration: int) -> int:
        """Restore the checkpoint of one iteration."""
        if iteration not in self._latest.numbers:
            there = ", ".join(map(str, self._latest.numbers)) or "none"
            raise UsageError(
                f"--test_iter={iteration}: no such checkpoint in {self._latest.path}; "
                f"there are {there}"
            )
        return self._restore(self._latest, iteration)

    def _restore(self, folder: CheckpointFolder, number: int) -> int:
        prefix = folder.prefix(number)
        try:
            folder.verify(number)
            with readable_prefix(prefix) as files:
                self._checkpoint.restore(files).assert_consumed()
        except UnreadableError as error:
            raise UsageError(f"checkpoint {prefix} is not to be read: {one_line(error)}") from error
        except DAMAGED as error:
            why, version = one_line(error), self._other_version()
            if version and not isinstance(error, ChecksumError):
                why = f"{version} ({why})"
            raise UsageError(
                f"checkpoint {prefix} is corrupt or of another architecture: {why}"
            ) from error
        if (iteration := int(self.iteration.numpy())) != number:
            raise UsageError(f"checkpoint {prefix} is corrupt: it is that of iteration {iteration}")
        return iteration

    def _is_readable(self, number: int) -> bool:
        try:
            self._latest.verify(number)
            with readable_prefix(self._latest.prefix(number)) as files:
                reader = tf.train.load_checkpoint(files)
                for name in reader.get_variable_to_shape_map():
                    reader.get_tensor(name)  # verifies its checksum
        except UnreadableError as error:
            raise UsageError(str(error)) from error
        except DAMAGED:
            return False
        return True
