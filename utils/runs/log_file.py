"""log.csv of a run: one row per epoch, and a seal by which damage to it is seen.

log.json has the size of log.csv and its checksum when the last row had been written. What a process
that was killed has added after that is no damage.
"""

import contextlib
import hashlib
import itertools
from pathlib import Path
from typing import Any

from tensorflow import keras

from system.atomic_file import write_text
from system.csv_file import number, read_columns, read_table
from system.errors import FileError
from system.files import read_bytes
from system.json_file import read_object, write_json


class LogFile:
    """The log of a run.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path):
        self.path = folder / "log.csv"
        self._seal_file = folder / "log.json"

    def seal(self) -> None:
        """Note what the log is now."""
        content = read_bytes(self.path)
        write_json(self._seal_file, {"bytes": len(content), "digest": _digest(content)})

    def check(self) -> None:
        """Compare the log with its seal; logs of version 0.3.0 and before have none.

        Raises:
            FileError: it was cut or changed, or its seal is damaged.
        """
        if not self._seal_file.exists():
            return
        sealed = read_object(self._seal_file)
        size, content = sealed.get("bytes"), read_bytes(self.path)
        if not isinstance(size, int) or size < 0:
            raise FileError(f"{self._seal_file} is damaged: remove it")
        if len(content) < size or _digest(content[:size]) != sealed.get("digest"):
            raise FileError(
                f"{self.path} is damaged or was changed: it is not what {self._seal_file.name} "
                "says; put it back, or remove it, and the log begins anew"
            )

    def columns(self, names: tuple[str, ...]) -> list[list[float]]:
        """The numbers of some columns.

        Raises:
            FileError: see `check` and `read_columns`.
        """
        self.check()
        return read_columns(self.path, names)

    def trim(self, iteration: int) -> None:
        """Drop the rows that are newer than the checkpoint training goes on from.

        Raises:
            FileError: the log is damaged.
        """
        if not self.path.exists():
            self._seal_file.unlink(missing_ok=True)
            return
        self.check()
        header, rows = read_table(self.path)
        if not rows and "iteration" not in header:  # half a header
            self._seal_file.unlink(missing_ok=True)
            self.path.unlink()
            return
        if "iteration" not in header:
            raise FileError(f"{self.path} is damaged: it has no column iteration; remove it")
        iterations = [number(row[header.index("iteration")]) for row in rows]
        if not all(one < other for one, other in itertools.pairwise(iterations)):
            raise FileError(
                f"{self.path} is damaged or was changed: its iterations do not ascend; put it "
                "back, or remove it, and the log begins anew"
            )
        kept = [row for row, at in zip(rows, iterations, strict=True) if at <= iteration]
        lines = [",".join(row) + "\r\n" for row in [header, *kept]]  # as CSVLogger ends them
        # Until the log and its seal are both written, there is no seal.
        self._seal_file.unlink(missing_ok=True)
        write_text(self.path, "".join(lines))
        self.seal()


class WriteLog(keras.callbacks.CSVLogger):
    """Add an epoch's row to the log, and seal it.

    Args:
        log: of the run.
    """

    def __init__(self, log: LogFile):
        super().__init__(str(log.path), append=True)
        self._log = log

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write; raises an OSError that names the file."""
        try:
            super().on_epoch_end(epoch, logs)
        except OSError as error:
            error.filename = error.filename or str(self._log.path)
            with contextlib.suppress(OSError):  # as closing it writes, too
                self.csv_file.close()
            raise
        self._log.seal()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
