"""A folder of numbered checkpoints: which are there, which is the last, whether they are damaged.

model-N.index, model-N.data-*    TensorFlow's, with a checksum of its own for every tensor
model-N.sha256                   of these files
checkpoint                       the pointer: names the last complete checkpoint and those before
"""

import errno
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from maml_tnet.checksums import ChecksumError, UnreadableError, checksums, verify
from system.atomic_file import remove_remains, write_text
from system.errors import FileError
from system.files import read_text
from utils.errors import UsageError

_NUMBER = r"(?P<number>[0-9]{1,10})"  # int32
_FILE = re.compile(rf"model-{_NUMBER}\.(?P<part>index|sha256|data-\d{{5}}-of-(?P<parts>\d{{5}}))")
_TEMPORARY = re.compile(r"model-\d+_temp")  # TensorFlow's folder
# As TensorFlow writes the pointer, whose programs go on reading it: a comment is nothing to them.
_ENTRY = re.compile(
    rf'(?P<key>model_checkpoint_path|all_model_checkpoint_paths): "(?:.*/)?model-{_NUMBER}"'
    r"|(?:all_model_checkpoint_timestamps|last_preserved_timestamp): [0-9.e+]+"
)
_CHECKSUM = "# sha256 "
RESTORE = "restore it, or move the run's folder away to start anew"


class CheckpointFolder:
    """Checkpoints by the number of their iteration; the newest few are kept.

    They are written in an order in which a process killed at any moment leaves the last complete
    one in force: its files, their checksums, the pointer, then older ones are deleted.

    Args:
        path: of the folder, which need not exist.
        kept: how many.

    Raises:
        UsageError: the pointer is damaged.
    """

    def __init__(self, path: Path, kept: int):
        self.path = path
        self._kept = kept
        self.numbers = self._read_pointer()

    @property
    def latest(self) -> int | None:
        """The last complete checkpoint, if any."""
        return self.numbers[-1] if self.numbers else None

    def prefix(self, number: int) -> str:
        """Of a checkpoint's files."""
        return str(self.path / f"model-{number}")

    def save(self, number: int, write: Callable[[str], None]) -> None:
        """Add a checkpoint.

        Args:
            number: of its iteration.
            write: writes the files of a prefix.

        Raises:
            OSError: it cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        sums = self._sums(number)
        sums.unlink(missing_ok=True)  # of files that are about to be replaced
        write(self.prefix(number))
        names = [path.name for path in self._files(number)]
        # Not atomically: nothing points to the checkpoint yet.
        sums.write_text(checksums(self.path, names), encoding="utf-8", newline="\n")
        numbers = [n for n in self.numbers if n != number] + [number]
        self._write_pointer(numbers[-self._kept :])
        self.numbers = numbers[-self._kept :]
        for old in numbers[: -self._kept]:
            self._delete(old)

    def verify(self, number: int) -> None:
        """Compare a checkpoint's files with their checksums, if it has any.

        Checkpoints of version 0.2.0 and before have none but TensorFlow's own.

        Raises:
            ChecksumError: it is damaged.
            UnreadableError: it may not be read.
        """
        for file in self._files(number):
            if not os.access(file, os.R_OK):
                raise UnreadableError(f"cannot read {file}: {os.strerror(errno.EACCES)}")
        sums = self._sums(number)
        if not sums.exists():
            return
        names = verify(sums)
        for file in self._files(number):
            if file.name not in names:
                raise ChecksumError(f"{sums} does not list {file.name}")

    def complete(self) -> list[int]:
        """All checkpoints that have all their files, pointed to or not, newest first."""
        parts: dict[int, set[str]] = {}
        due: dict[int, int] = {}
        for match in filter(None, (_FILE.fullmatch(p.name) for p in self.path.glob("model-*"))):
            number = int(match["number"])
            if match["part"] != "sha256":
                parts.setdefault(number, set()).add(match["part"])
            if match["parts"]:
                due[number] = int(match["parts"]) + 1  # and the index
        return sorted((n for n, found in parts.items() if len(found) == due.get(n)), reverse=True)

    def discard(self, number: int) -> None:
        """Delete the files of a checkpoint that could not be written completely."""
        if number != self.latest:
            self._delete(number)

    def remove_remains(self) -> None:
        """Remove what a process that was killed while it saved has left; call with the run held."""
        remove_remains(self.path)
        for path in self.path.glob("checkpoint.tmp*"):
            path.unlink(missing_ok=True)
        wanted = {*self.numbers, *self.complete()}
        for path in list(self.path.glob("model-*")):
            match = _FILE.fullmatch(path.name)
            half_written = match is not None and int(match["number"]) not in wanted
            if half_written or _TEMPORARY.fullmatch(path.name):
                _remove(path)

    def _sums(self, number: int) -> Path:
        return self.path / f"model-{number}.sha256"

    def _files(self, number: int) -> list[Path]:
        found = self.path.glob(f"model-{number}.*")
        return [path for path in found if _FILE.fullmatch(path.name) and path.suffix != ".sha256"]

    def _delete(self, number: int) -> None:
        for path in self.path.glob(f"model-{number}[._]*"):
            if _FILE.fullmatch(path.name) or path.name == f"model-{number}_temp":
                _remove(path)

    @property
    def _pointer(self) -> Path:
        return self.path / "checkpoint"

    def _read_pointer(self) -> list[int]:
        if not self._pointer.exists():
            return []
        try:
            *lines, rest = read_text(self._pointer).split("\n")
        except FileError as error:
            raise UsageError(f"{error}; it names the last checkpoint: {RESTORE}") from error
        if lines and lines[-1].startswith(_CHECKSUM):
            text = "".join(f"{line}\n" for line in lines[:-1])
            if lines.pop() != _CHECKSUM + _digest(text):
                raise self._corrupt()
        entries = [_ENTRY.fullmatch(line) for line in lines]
        if rest or not entries or None in entries:
            raise self._corrupt()
        found: dict[str, list[int]] = {}
        for entry in filter(None, entries):
            if entry["key"]:
                found.setdefault(entry["key"], []).append(int(entry["number"]))
        last = found.get("model_checkpoint_path", [])
        numbers = found.get("all_model_checkpoint_paths", last)
        if len(last) != 1 or numbers[-1] != last[0] or numbers != sorted(set(numbers)):
            raise self._corrupt()
        return numbers

    def _write_pointer(self, numbers: list[int]) -> None:
        lines = [f'model_checkpoint_path: "model-{numbers[-1]}"']
        lines += [f'all_model_checkpoint_paths: "model-{number}"' for number in numbers]
        lines += [f"all_model_checkpoint_timestamps: {time.time()}"] * len(numbers)
        text = "".join(f"{line}\n" for line in lines)
        write_text(self._pointer, f"{text}{_CHECKSUM}{_digest(text)}\n")

    def _corrupt(self) -> UsageError:
        return UsageError(
            f"{self._pointer}, which names the last checkpoint, is corrupt: {RESTORE}"
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
