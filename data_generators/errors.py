"""The error that bad or missing data raises, and texts fit for its one line."""

import unicodedata

NO_TEXT = ("Cc", "Cs", "Zl", "Zp")  # controls, bytes that are not UTF-8, ends of lines
# Marks that turn the direction of all that follows on a line.
_TURNS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

# What helps where the folder of a cache cannot be used, also where nobody has named it.
ANOTHER_FOLDER = "name another folder by --cache_dir=FOLDER"


class DataError(Exception):
    """Data that is missing, damaged or too small; its text is the one line a user sees."""


def reason(error: Exception) -> str:
    """What an error of Python or of a library says, on one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return printable(" ".join(text.split()))


def printable(name: str) -> str:
    r"""A name of a file or a text, for one line: what is no text in it becomes \x.. .

    Python keeps bytes of a name that are not UTF-8 as lone surrogates, which cannot be printed.
    """
    if name.isprintable():
        return name
    return "".join(_escaped(c) if unicodedata.category(c) in NO_TEXT else c for c in name)


def legible(text: str, longest: int = 1000) -> str:
    r"""A text for a person's eyes: `printable`, marks that turn its direction as \u.., cut off."""
    text = "".join(_escaped(c) if c in _TURNS else c for c in printable(text[: longest + 1]))
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
