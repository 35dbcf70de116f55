"""Keras callbacks of a training run. They act between spans of compiled iterations."""

import os
import signal
import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

import tensorflow as tf
from tensorflow import keras

from maml_tnet import MetaLearner, update_probability
from utils.errors import SIGPIPE, TrainingDiverged, TrainingInterrupted
from utils.runs.checkpoints import Checkpoints
from utils.runs.epoch_means import EpochMeans
from utils.runs.optimizers import evaluation_weights

Logs = dict[str, Any]
HANGUP = getattr(signal, "SIGHUP", None)  # which Windows lacks


class StopOnDivergence(keras.callbacks.Callback):
    """Stop the run when an iteration's meta-loss is not finite, before anything is saved.

    Args:
        stops: for each span of iterations of the run, where it should have ended.
    """

    def __init__(self, stops: Iterable[int]):
        super().__init__()
        self._stops = iter(stops)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Compare the number of iterations done with the span's end."""
        done = int((logs or {})["iteration"])
        if done < next(self._stops):
            raise TrainingDiverged(done)


class LogUpdateProbabilities(keras.callbacks.Callback):
    """Add P(update), averaged over a layer's mask logits, to what is logged of an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add one entry per masked layer."""
        if logs is not None:
            logs |= update_probabilities(self.model)


def update_probabilities(learner: MetaLearner) -> dict[str, float]:
    """Mean P(update) per layer (equation 9), by "p_update/LAYER"; empty without masks."""
    return {
        f"p_update/{layer.name}": float(
            tf.reduce_mean(
                tf.concat(
                    [tf.reshape(update_probability(z), [-1]) for z in layer.mask_logits], axis=0
                )
            )
        )
        for layer in learner.network.transform_layers
        if layer.mask_logits
    }


class EvaluateAveragedWeights(keras.callbacks.Callback):
    """Validate with the weights that will be evaluated; see `optimizers.evaluation_weights`."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Put them in place."""
        self._swap = evaluation_weights(self.model)
        self._swap.__enter__()

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Put the trained weights back."""
        self._swap.__exit__(None, None, None)


class SaveCheckpoints(keras.callbacks.Callback):
    """Save after every epoch; as the best, too, when its validation result is.

    Args:
        checkpoints: of the run.
        means: kept where a run ends in an epoch's middle, in which a longer one goes on.
        ends_epoch: whether an epoch ends after so many iterations, however long the run is.
    """

    def __init__(
        self, checkpoints: Checkpoints, means: EpochMeans, ends_epoch: Callable[[int], bool]
    ):
        super().__init__()
        self._checkpoints = checkpoints
        self._means = means
        self._ends_epoch = ends_epoch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save."""
        logs = logs or {}
        iteration = int(logs["iteration"])
        if not self._ends_epoch(iteration):
            self._means.keep(iteration)
        self._checkpoints.save(iteration, logs.get("val_accuracy"))


class SaveOnSignal(keras.callbacks.Callback):
    """On SIGINT, SIGTERM or SIGHUP, finish the span, save, and leave by `TrainingInterrupted`.

    SIGHUP comes when the terminal goes; `nohup` has a program ignore it. In an epoch's last span
    that is when the epoch is validated, logged and saved. A second signal acts at once, as if this
    were not here.

    Args:
        checkpoints: of the run.
        means: of the epoch.
        ends_epoch: whether an epoch ends after so many iterations.
        agree: whether it is so here or in another process of the run, all of which ask.
    """

    signals = (signal.SIGINT, signal.SIGTERM, *([HANGUP] if HANGUP else []))

    def __init__(
        self,
        checkpoints: Checkpoints,
        means: EpochMeans,
        ends_epoch: Callable[[int], bool],
        agree: Callable[[bool], bool] = bool,
    ):
        super().__init__()
        self._checkpoints = checkpoints
        self._means = means
        self._ends_epoch = ends_epoch
        self._agree = agree
        self._received: int | None = None
        self._previous: dict[int, Any] = {}
        self._terminals: list[int] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Take the signals over."""
        # Once a terminal is gone, its files do not say any more that they are one.
        self._terminals = [s.fileno() for s in (sys.stdout, sys.stderr) if s.isatty()]
        self._previous = {
            number: signal.signal(number, self._note)
            for number in self.signals
            if number != HANGUP or signal.getsignal(number) != signal.SIG_IGN
        }

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save and leave, if a signal came and the epoch goes on."""
        iteration = int((logs or {})["iteration"])
        if self._came() and not self._ends_epoch(iteration):
            self._means.keep(iteration)
            self._checkpoints.save(iteration)
            raise self._interrupted(iteration)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Leave, if a signal came since the last span but one; the epoch was just saved."""
        if self._came():
            raise self._interrupted(int((logs or {})["iteration"]))

    def stop(self, number: int) -> None:
        """Leave as if a signal of this number had come."""
        self._received = number

    def restore_handlers(self) -> None:
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _came(self) -> bool:
        return self._agree(self._received is not None)

    def _interrupted(self, iteration: int) -> TrainingInterrupted:
        return TrainingInterrupted(self._received or signal.SIGTERM, iteration)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._received = number
        self.restore_handlers()
        if number == HANGUP:  # writing to the terminal would be an error
            write_nowhere(self._terminals)
        print(f"\n{signal.Signals(number).name}: saving ...", file=sys.stderr, flush=True)


def write_nowhere(files: Iterable[int]) -> None:
    """Have files, given by their numbers, take what is written to them and do nothing."""
    for file in files:
        os.dup2(os.open(os.devnull, os.O_WRONLY), file)


class ProgressBar(keras.callbacks.Callback):
    """One Keras progress bar over all iterations of the run that are still to do.

    Args:
        start: number of iterations done before.
        total: number of iterations of the whole run.
        stop: is told when nobody reads the output any more, as SIGPIPE's number.
    """

    shown = ("pre_loss", "loss", "pre_accuracy", "accuracy", "val_accuracy")

    def __init__(self, start: int, total: int, stop: Callable[[int], None]):
        super().__init__()
        self._stop = stop
        self._start = start
        self._total = total
        self._shown_iteration = start
        self._validation: Logs = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start the clock."""
        self._bar = keras.utils.Progbar(
            self._total - self._start,
            stateful_metrics=self.shown,
            interval=0.5 if sys.stdout.isatty() else 30,
            unit_name="iteration",
        )

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Show means over the epoch so far and the last validation result."""
        logs = (logs or {}) | self._validation
        values = [(name, logs[name]) for name in self.shown if name in logs]
        done = int(logs["iteration"])
        if done > self._shown_iteration:  # spans may be empty
            try:
                self._bar.update(done - self._start, values, finalize=done == self._total)
            except BrokenPipeError:
                write_nowhere([sys.stdout.fileno()])
                self._stop(SIGPIPE)
            self._shown_iteration = done

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Remember the validation result."""
        self._validation = {k: v for k, v in (logs or {}).items() if k == "val_accuracy"}
