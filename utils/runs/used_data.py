"""The data that a run was trained on, in its folder: what it was, and where it lay.

The record must not change while a run lasts; the paths may, and are the last ones.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from data_generators import DataRecord, TaskSource
from system.errors import FileError
from system.json_file import read_object, write_json


@dataclass(frozen=True)
class UsedData:
    """Data of a run.

    Attributes:
        record: what it is.
        data_path: absolute path of the images; None where they were downloaded.
        cache_dir: absolute path of what is kept of them between runs.
    """

    record: DataRecord
    data_path: str | None
    cache_dir: str

    @property
    def place(self) -> str:
        """The folder or archive that has it."""
        return self.cache_dir if self.data_path is None else self.data_path

    def write(self, file: Path) -> None:
        """Write it as JSON that people can read, whole or not at all."""
        values = {
            "data_path": self.data_path,
            "cache_dir": self.cache_dir,
            "fingerprint": self.record.fingerprint,
            **self.record.to_dict(),
        }
        write_json(file, values, indent=2)

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read what `write` wrote.

        Raises:
            FileError: it cannot be read, or is damaged.
        """
        values = read_object(file)
        try:
            record = DataRecord.from_dict(values)
            data_path, cache_dir = values["data_path"], values["cache_dir"]
            are_paths = all(
                map(_is_path, (cache_dir, cache_dir if data_path is None else data_path))
            )
            if are_paths and values["fingerprint"] == record.fingerprint:
                return cls(record, data_path, cache_dir)
        except (AttributeError, KeyError, TypeError):
            pass
        raise FileError(
            f"{file} is damaged or was changed: restore it, or remove it to take up "
            "the run with the data that is given"
        )


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value


def used_data(source: TaskSource, data_path: str | None, cache_dir: str) -> UsedData | None:
    """The data of a source; None where tasks are drawn from numbers alone.

    Args:
        source: of tasks.
        data_path: where it was found.
        cache_dir: where it is kept.

    Raises:
        DataError: it cannot be read.
    """
    record = source.data_record
    if record is None:
        return None
    path = None if data_path is None else os.path.abspath(data_path)
    return UsedData(record, path, os.path.abspath(cache_dir))
