"""Files whose paths TensorFlow would take for patterns, under paths that it reads as they are."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def readable_prefix(prefix: str) -> Iterator[str]:
    """The prefix of a checkpoint's files by which TensorFlow finds them, also in `a [b]`.

    TensorFlow looks for them by a pattern, and reads them by the same text. It has no way to write
    a `[` that is none of a pattern, so such files are copied for the time of the block.

    Args:
        prefix: of the files.
    """
    if not _is_pattern(prefix):
        yield prefix
        return
    folder, name = os.path.split(prefix)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as copies:
        if os.path.isdir(folder or "."):
            for file in Path(folder).iterdir():
                if file.is_file() and (file.name == name or file.name.startswith(f"{name}.")):
                    shutil.copy(file, copies)
        yield os.path.join(copies, name)


@contextlib.contextmanager
def readable_folder(folder: str | os.PathLike[str]) -> Iterator[str]:
    """The path by which TensorFlow finds a SavedModel; see `readable_prefix`.

    Args:
        folder: of the SavedModel.

    Raises:
        OSError: it cannot be read.
    """
    if not _is_pattern(os.fspath(folder)):
        yield os.fspath(folder)
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as copies:
        copy = os.path.join(copies, "model")
        shutil.copytree(folder, copy)
        yield copy


def _is_pattern(path: str) -> bool:
    return "[" in path or ("\\" in path and os.sep != "\\")
