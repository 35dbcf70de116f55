"""Paths that a command line names, read the same way by every program."""

import contextlib
import os
import re
import tempfile
from pathlib import Path

from absl import flags

from maml_tnet.replacing import not_replaceable
from system.atomic_file import temporary_name
from utils.errors import UsageError

LONGEST, LONGEST_PART = 4000, 255  # bytes that systems take, of a path and of each of its parts
# Of a letter alone it is a disk of Windows.
_ADDRESS = re.compile(r"[A-Za-z][\w+.-]+://")
# A whole part of a path, such as $HOME, ${HOME} or %USERPROFILE%.
_VARIABLE = re.compile(r"(?<![^/\\])(?:\$\w+|\$\{\w+\}|%\w+%)(?![^/\\])")


def expanded(path: str) -> str:
    """A path as given, with ~ and ~user replaced by their folders.

    Raises:
        ValueError: it is empty, not UTF-8, too long, an address such as gs://..., ends with the end
            of a line, is of a user who does not exist, or has what only a shell reads, quotes
            around it or a variable, and is not there under that name; the text says which.
    """
    if not path.strip():
        raise ValueError("must name a file or folder, got an empty text")
    if not _is_utf8(path):
        raise ValueError("must be written in UTF-8")
    if "\0" in path:
        raise ValueError("must not have the character NUL in it")
    if path.endswith(("\r", "\n")):  # as in scripts that were written on Windows
        raise ValueError("must not end with the end of a line")
    if _ADDRESS.match(path):
        raise ValueError("must be a file or folder of this machine, not an address")
    if path[0] in "\"'" and not os.path.lexists(path):
        raise ValueError("must be written without quotes here, where no shell reads it")
    variable = _VARIABLE.search(path)
    if variable and not os.path.lexists(path[: variable.end()]):
        raise ValueError(
            f"has {variable[0]} in it, which only a shell replaces: write the folder that it "
            "stands for, or ~ for the home folder"
        )
    found = os.path.expanduser(path)
    if not _is_utf8(found):
        raise ValueError("leads to a home folder whose name is not UTF-8")
    if len(os.fsencode(found)) > LONGEST or any(
        len(os.fsencode(part)) > LONGEST_PART for part in found.split(os.sep)
    ):
        raise ValueError("is too long for a path")
    if path.startswith("~") and found == path:
        user = path.partition("/")[0]
        raise ValueError(f"there is no home folder {user}; a file of this name is ./{path}")
    return found


def _is_utf8(path: str) -> bool:
    """Whether it is a text that TensorFlow can take as a path."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


class PathParser(flags.ArgumentParser[str]):
    """Of flags whose value is a path."""

    syntactic_help = "a path, in which ~ is the home folder"

    def parse(self, argument: str) -> str:
        """See `expanded`."""
        return expanded(argument)

    def flag_type(self) -> str:
        """What `--help` calls it."""
        return "path"


class OptionalPathParser(PathParser):
    """Of flags whose value is a path, or empty for none."""

    syntactic_help = "a path, in which ~ is the home folder, or empty for none"

    def parse(self, argument: str) -> str:
        """See `expanded`."""
        return expanded(argument) if argument else ""


def define_path(
    name: str,
    default: str | None,
    help: str,
    flag_values: flags.FlagValues = flags.FLAGS,
    *,
    parser: PathParser | None = None,
) -> None:
    """Define a flag whose value is a path, in which ~ and ~user are expanded."""
    flags.DEFINE(
        parser or PathParser(),
        name,
        default,
        help,
        flag_values=flag_values,
        serializer=flags.ArgumentSerializer(),
    )


def define_paths(name: str, help: str, flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Define a flag that may be given several times, each time with a path; None if it is not."""
    flags.DEFINE_multi(
        PathParser(),
        flags.ArgumentSerializer(),
        name,
        None,
        help,
        flag_values=flag_values,
    )


def check_current_folder() -> None:
    """Raise a UsageError where relative paths lead nowhere, or where TensorFlow cannot follow."""
    try:
        folder = os.getcwd()
    except OSError as error:
        raise UsageError(
            f"the current folder is gone or closed ({error.strerror}): change into another"
        ) from error
    if not _is_utf8(folder):
        raise UsageError(f"the current folder, {folder}, has no name in UTF-8: change into another")


def export_folder(path: str, flag: str = "export_dir") -> Path:
    """The absolute path, without links, of a SavedModel to write.

    Args:
        path: the value of a flag.
        flag: its name.

    Raises:
        UsageError: something else than an earlier export is there, or nothing can be written.
    """
    folder = Path(os.path.realpath(path))
    if not _is_utf8(str(folder)):
        raise UsageError(f"--{flag}={path} cannot be written: {folder} is no name in UTF-8")
    problem = None
    try:
        os.lstat(folder)
        problem = not_replaceable(folder)
    except FileNotFoundError:
        pass
    except OSError as error:  # its name is too long, or what it lies in is a file
        raise UsageError(f"--{flag}={path} cannot be written: {error.strerror}") from error
    if problem:
        raise UsageError(
            f"--{flag}={path} {problem}: name a new folder, or one that an earlier export wrote"
        )
    check_writable(folder, f"--{flag}={path}")
    return folder


def check_output_file(path: str, flag: str) -> None:
    """Raise a UsageError for a file to write that cannot be made or replaced.

    Args:
        path: the value of a flag.
        flag: its name.
    """
    file = Path(os.path.realpath(path))
    if file.is_dir() or path.endswith(("/", os.sep)):
        raise UsageError(f"--{flag}={path} is a folder: name a file")
    check_writable(file, f"--{flag}={path}")


def check_writable(path: Path, flag: str) -> None:
    """Raise a UsageError if a file or folder cannot be made, or put in the place of another.

    Args:
        path: of it, without links.
        flag: that names it, with its value.
    """
    above = next(parent for parent in path.parents if os.path.exists(parent))
    try:
        if os.path.islink(Path(above, *path.relative_to(above).parts[:1])):
            raise UsageError(f"{flag} cannot be written: {path} is a link to itself")
        for part in path.relative_to(above).parts:  # each of which is made under a longer name
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.lstat(above / temporary_name(part))
    except OSError as error:
        raise UsageError(f"{flag} cannot be written: {error.strerror}") from error
    try:
        # Not by what the permissions say: of some folders, such as /proc, they say too much.
        tempfile.TemporaryFile(dir=above).close()
    except OSError as error:
        raise UsageError(f"{flag} cannot be written: nothing can be made in {above}") from error
