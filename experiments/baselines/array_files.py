"""Arrays as a file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_generators.images.file_tree import ZIP_DAMAGE
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
            # The zip has checksums of the arrays, but none of their names.
            if stored.files != [f"arr_{number}" for number in range(len(stored.files))]:
                raise ValueError("its arrays have other names")
            return [stored[name] for name in stored.files]
    except ZIP_DAMAGE as error:
        raise damaged(file, error) from error


def damaged(file: Path, error: Exception) -> UsageError:
    """The error of a file that does not hold what it should."""
    return UsageError(
        f"{file} does not hold the trained features ({one_line(error)}): remove it, and they are "
        "trained again"
    )
