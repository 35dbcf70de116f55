"""Arrays as a file."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from system.atomic_file import atomic_write
from utils.errors import UsageError, one_line


def write_arrays(file: Path, arrays: Sequence[np.ndarray]) -> None:
    """Write them, whole or not at all."""
    with atomic_write(file) as output:
        np.savez(output, *arrays)


def read_arrays(file: Path) -> list[np.ndarray]:
    """Read what `write_arrays` wrote.

    Raises:
        UsageError: the file is damaged.
    """
    try:
        with file.open("rb") as content, np.load(content) as stored:
            return [stored[name] for name in stored.files]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise damaged(file, error) from error


def damaged(file: Path, error: Exception) -> UsageError:
    """The error of a file that does not hold what it should."""
    return UsageError(
        f"{file} does not hold the trained features ({one_line(error)}): remove it, and they are "
        "trained again"
    )
