"""Files that appear complete or not at all."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that takes its name when the block ends well.

    When the block raises, the temporary file is removed and `path` left as it was. The folder
    is made if need be. A process killed inside the block leaves a ".part" file that nothing reads.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(temporary)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8, with the line ends that it has; see `atomic_write`."""
    with atomic_write(path) as file:
        file.write(text.encode())
