"""Files of flags, --flagfile=FILE: one flag a line.

They are no scripts: a value is all that stands after its "=", with quotes and blanks in it.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from utils.command.paths import expanded
from utils.errors import UsageError

NAMES = ("--flagfile", "-flagfile")
MOST_BYTES = 1_000_000
DEEPEST = 10  # files inside each other
COMMENTS = ("#", "//")


def with_flag_files(arguments: Iterable[str], within: tuple[str, ...] = ()) -> Iterator[str]:
    """The arguments, with those of every --flagfile in its place.

    Args:
        arguments: of a command line.
        within: the files that they come from, the outermost first.

    Raises:
        UsageError: a file of flags cannot be read, is none, or includes itself.
    """
    rest = iter(arguments)
    for argument in rest:
        name, equals, path = argument.partition("=")
        if name not in NAMES:
            yield argument
            continue
        try:
            file = Path(expanded(path if equals else next(rest, "")))
        except ValueError as error:
            raise UsageError(f"--flagfile={path}: {error}") from error
        same = os.path.realpath(file)
        if same in within:
            raise UsageError(f"--flagfile={file} includes itself")
        if len(within) == DEEPEST:
            raise UsageError(f"--flagfile={file} lies more than {DEEPEST} files of flags deep")
        yield from with_flag_files(_flags_of(file), (*within, same))


def _flags_of(file: Path) -> Iterator[str]:
    try:
        # A device may have no end.
        if not file.is_file():
            raise UsageError(f"--flagfile={file} is not a file")
        if file.stat().st_size > MOST_BYTES:
            raise UsageError(f"--flagfile={file} is too large for a file of flags")
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"--flagfile={file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--flagfile={file} is not a text in UTF-8") from error
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate((line.strip(" \t") for line in lines), start=1):
        if line and not line.startswith(COMMENTS):
            name = line.partition("=")[0]
            if not line.startswith("-") or name.split() != [name]:
                raise UsageError(
                    f"--flagfile={file}: line {number} must be one flag, --name=value, got "
                    f"{line[:40]!r}"
                )
            yield line
