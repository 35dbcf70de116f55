"""What the system refuses, in one line: the flag that names the path, the path, the reason."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from absl import flags

from data_generators.errors import ANOTHER_FOLDER
from utils.command.flags import cache_folder
from utils.command.paths import PathParser
from utils.errors import UsageError, one_line

# As which TensorFlow raises what the system says of a file; the second where it outgrows a limit.
OF_FILES = (tf.errors.PermissionDeniedError, tf.errors.OutOfRangeError)
_A_FLAG = re.compile(r"(?<!\S)--\w")


def in_words(error: BaseException, flag_values: flags.FlagValues = flags.FLAGS) -> str:
    """What an error says, after the flag that named the file which the system refused, if any.

    Where none did, as it is the default folder of the cache, the flag that names another is said.

    Args:
        error: of the system, or one that was raised from such an error.
        flag_values: that were parsed.
    """
    text, path = _refusal(error)
    if _A_FLAG.search(text) or not path:
        return text
    flag = _flag_of(path, flag_values)
    if not flag and _is_of_the_default_cache(path, flag_values):
        return f"{text}; {ANOTHER_FOLDER}"
    return f"{flag}: {text}" if flag else text


def _refusal(error: BaseException) -> tuple[str, str]:
    """The text of an error, and the file that the system refused; empty if it names none."""
    text = ""
    cause: BaseException | None = error
    while cause is not None:
        path, reason = "", ""
        if isinstance(cause, OSError):
            named = isinstance(cause.filename, str | bytes | os.PathLike)  # not an open file
            path, reason = os.fsdecode(cause.filename) if named else "", cause.strerror or ""
        elif isinstance(cause, OF_FILES):  # "PATH; Permission denied"
            path, _, reason = one_line(cause).rpartition("; ")
        if path:
            return text or f"cannot read or write {path}: {reason}", path
        if not text:
            is_own = not isinstance(cause, OSError | tf.errors.OpError)
            text = str(cause) if is_own else one_line(cause)
        cause = cause.__cause__
    return text, ""


def _flag_of(path: str, flag_values: flags.FlagValues) -> str:
    """The flag, with its value, that names a path, or the folder that has it.

    Where none does it is the one whose value lies below the path, if there is but one.
    """
    try:
        os.getcwd()
    except OSError:  # it is gone, and with it what relative paths name
        return ""
    found, below = [], []
    for name, value in _paths(flag_values):
        for resolved in (os.path.abspath, os.path.realpath):
            named, refused = Path(resolved(value)), Path(resolved(path))
            if refused.is_relative_to(named):
                found.append((len(named.parts), f"--{name}={value}"))
            elif named.is_relative_to(refused) and flag_values[name].present:
                below.append(f"--{name}={value}")
    if found:
        return max(found)[1]
    return below[0] if len(set(below)) == 1 else ""


def _is_of_the_default_cache(path: str, flag_values: flags.FlagValues) -> bool:
    """Whether a path is in the cache's folder that no flag names, or above it."""
    if "cache_dir" not in flag_values or flag_values["cache_dir"].value is not None:
        return False
    try:
        folder, refused = cache_folder(flag_values), Path(os.path.abspath(path))
    except (UsageError, OSError):  # there is none
        return False
    return refused.is_relative_to(folder) or folder.is_relative_to(refused)


def _paths(flag_values: flags.FlagValues) -> Iterator[tuple[str, str]]:
    """The flags that name paths, with each of their values."""
    for name in flag_values:
        flag = flag_values[name]
        if isinstance(flag.parser, PathParser):
            values = flag.value if isinstance(flag.value, list) else [flag.value]
            yield from ((name, value) for value in values if value)
