"""The means of an epoch that is interrupted, so that its row of the log is of all of it."""

from pathlib import Path
from typing import Any

from tensorflow import keras

from maml_tnet import MetaLearner
from system.errors import FileError
from system.json_file import read_object, write_json


class EpochMeans(keras.callbacks.Callback):
    """Keeps what the means of an epoch are made of beside a checkpoint in the epoch's middle.

    Args:
        file: to keep it in. It belongs to the checkpoint of the iteration that it names; to any
            other it says nothing.
        learner: compiled.
        start: number of iterations done when training starts.

    Attributes:
        go_on: whether the file has the sums of the epoch in which training starts.

    Raises:
        FileError: the file is damaged.
    """

    def __init__(self, file: Path, learner: MetaLearner, start: int):
        super().__init__()
        self._file = file
        self._variables = [v for meter in learner.metrics for v in meter.variables]
        self._sums: list[float] = []
        self._kept = _read(file, start, len(self._variables))
        self.go_on = bool(self._kept)

    def keep(self, iteration: int) -> None:
        """Write down the sums behind the means over the epoch so far.

        To be called before the checkpoint of this iteration is saved: a process that is killed in
        between leaves sums that belong to no checkpoint.
        """
        sums = [value.hex() for value in self._sums]
        write_json(self._file, {"iteration": iteration, "sums": sums})

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Go on with the sums of the epoch that was interrupted, which is the first."""
        if self._kept:
            for variable, value in zip(self._variables, self._kept, strict=True):
                variable.assign(value)
            self._kept = []

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Take the sums now: validation at the end of the epoch uses the same variables."""
        self._sums = [float(variable.numpy()) for variable in self._variables]


def _read(file: Path, start: int, count: int) -> list[float]:
    if not file.exists():
        return []
    values = read_object(file)
    try:
        sums = [float.fromhex(value) for value in values["sums"]]
        if len(sums) == count:
            return sums if values["iteration"] == start else []
    except (ArithmeticError, KeyError, TypeError, ValueError):
        pass
    raise FileError(f"{file} is damaged or was changed: remove it")
