"""Files whose paths TensorFlow would take for patterns, under paths that it reads as they are.

It looks for files by a pattern, and reads them by the same text. It has no way to write a `[` that
is none of a pattern, so such a folder gets another name for the time that it is read.
"""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator

from maml_tnet.checksums import UnreadableError


@contextlib.contextmanager
def readable_prefix(prefix: str) -> Iterator[str]:
    """The prefix of a checkpoint's files by which TensorFlow finds them, also in `a [b]`.

    Args:
        prefix: of the files.

    Raises:
        UnreadableError: there is no folder for temporary files.
    """
    folder, name = os.path.split(prefix)
    with readable_folder(folder or ".") as readable:
        yield prefix if readable == (folder or ".") else os.path.join(readable, name)


@contextlib.contextmanager
def readable_folder(folder: str | os.PathLike[str]) -> Iterator[str]:
    """The path by which TensorFlow finds the files of a folder, such as a SavedModel.

    Args:
        folder: as it is called.

    Raises:
        UnreadableError: there is no folder for temporary files.
    """
    if not _is_pattern(os.fspath(folder)):
        yield os.fspath(folder)
        return
    with contextlib.ExitStack() as stack:
        try:
            made = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
            readable = os.path.join(stack.enter_context(made), "folder")
            if _is_pattern(readable):
                raise OSError(errno.EINVAL, "TMPDIR must not have these in its name", readable)
            _link(os.path.realpath(folder), readable)
        except OSError as error:
            raise UnreadableError(
                f"{folder}, with a [ or a backslash in its name, is read by a link in the folder "
                f"for temporary files, and none could be made there: {error}"
            ) from error
        yield readable


def _link(folder: str, link: str) -> None:
    try:
        os.symlink(folder, link, target_is_directory=True)
    except OSError:
        if os.name != "nt":
            raise
        shutil.copytree(folder, link)  # Windows lets not everybody make links


def _is_pattern(path: str) -> bool:
    return "[" in path or ("\\" in path and os.sep != "\\")
