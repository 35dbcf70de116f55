"""What callbacks have counted, kept beside the backup of a run that is started again."""

import json
import os
import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from tensorflow import keras

from maml_tnet.checksums import ChecksumError

# By these attributes a callback judges the next epoch. Keras begins them anew with every `fit`.
COUNTS: dict[type, tuple[str, ...]] = {
    keras.callbacks.EarlyStopping: ("wait", "best", "best_epoch", "stopped_epoch", "best_weights"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
    keras.callbacks.ModelCheckpoint: ("best",),
}
LEARNER = "learner.json"
FILES = "callbacks-{epoch}.npz"
NAMES = "names"  # the array of all arrays' names


class CallbackCounts(keras.callbacks.Callback):
    """Writes at every epoch's end what callbacks have counted, and gives it back at a restart.

    It belongs behind the callbacks and before `keras.callbacks.BackupAndRestore`: what goes with a
    backup has then been written when the backup is, and is found under the number of the epoch that
    the backup goes on with.

    Args:
        callbacks: those of a `fit`; those that do not count are passed over.
        backup_dir: the folder of `keras.callbacks.BackupAndRestore`, which removes it in the end.
        learner: what the backup is of, as JSON has it.
    """

    def __init__(
        self, callbacks: list[Any], backup_dir: str | os.PathLike[str], learner: dict[str, Any]
    ):
        super().__init__()
        self.folder = Path(backup_dir)
        self.learner = json.loads(json.dumps(learner, default=float))  # of NumPy
        self._begun = False
        self.counting = {
            f"{number}-{type(callback).__name__}/{name}": (callback, name)
            for number, callback in enumerate(callbacks)
            for kind, names in COUNTS.items()
            if isinstance(callback, kind)
            for name in names
        }

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin a `fit`.

        Raises:
            ValueError: the backup is of another learner; those of 0.6.0 and before do not say.
            ChecksumError: what says so is damaged.
        """
        self._begun = False
        path = self.folder / LEARNER
        if not self.folder.is_dir() or {file.name for file in self.folder.iterdir()} <= {LEARNER}:
            self._write_learner()  # before the first backup, which may come within an epoch
        if not path.is_file():
            return
        try:
            kept = dict(json.loads(path.read_text(encoding="utf-8")))
        except (TypeError, ValueError) as error:
            raise ChecksumError(
                f"{path} is damaged: without {self.folder} the run begins anew"
            ) from error
        differing = [name for name, value in self.learner.items() if kept.get(name) != value]
        if differing:
            raise ValueError(
                f"{self.folder} is a backup of a learner with other {', '.join(differing)}: name "
                "another backup_dir, or remove this one to begin anew"
            )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Give back, now that every callback has begun.

        Raises:
            ChecksumError: what was kept is damaged.
            PermissionError: it may not be read.
        """
        path = self._path(epoch)
        if not self._begun and path.is_file():
            try:
                with np.load(path) as file:
                    kept = dict(file)
                # Files of 0.6.2 and before have no names. A zip has checksums of all but these.
                if set(kept.pop(NAMES, kept)) != set(kept):
                    raise ValueError("its arrays have other names")
            except PermissionError:
                raise
            except (BadZipFile, EOFError, OSError, RuntimeError, ValueError, zlib.error) as error:
                raise ChecksumError(
                    f"{path} is damaged: without {self.folder} the run begins anew"
                ) from error
            for key, (callback, name) in self.counting.items():
                if key in kept:
                    setattr(callback, name, kept[key].item())
                elif f"{key}/0" in kept:
                    weights = (k for k in kept if k.startswith(f"{key}/"))
                    setattr(callback, name, [kept[k] for k in weights])
        self._begun = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write what the next epoch begins with, beside that of this one: a backup may fail yet."""
        arrays: dict[str, Any] = {}
        for key, (callback, name) in self.counting.items():
            value = getattr(callback, name)
            if isinstance(value, list):
                arrays |= {f"{key}/{number}": weight for number, weight in enumerate(value)}
            elif value is not None:  # as it also begins
                arrays[key] = np.asarray(value)
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / "callbacks-unfinished.npz"
        arrays[NAMES] = np.array(list(arrays), str)
        np.savez(unfinished, **arrays)
        os.replace(unfinished, self._path(epoch + 1))
        self._write_learner()
        self._path(epoch - 1).unlink(missing_ok=True)

    def _write_learner(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / "learner-unfinished.json"
        unfinished.write_text(json.dumps(self.learner), encoding="utf-8")
        os.replace(unfinished, self.folder / LEARNER)

    def _path(self, epoch: int) -> Path:
        return self.folder / FILES.format(epoch=epoch)
