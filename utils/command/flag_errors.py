"""What is wrong with a flag, in one line: its name, what it must be, the value given."""

import difflib
import re

from absl import flags

from utils.command.library_flags import own_flags

LONGEST = 60  # letters of a value
SIMILAR = 0.75  # of letters, so that a flag may be meant
_MISSING = re.compile(r"Missing value for flag --(?P<name>\w+)")
_NO_VALUE = re.compile(r"--(?P<name>no\w+)=(?P<value>.*) does not take an argument", re.DOTALL)


def explained(error: Exception, flag_values: flags.FlagValues) -> str:
    """Say what absl raised.

    Args:
        error: `flags.Error`, or a ValueError of parsing.
        flag_values: that were parsed.
    """
    text = str(error)
    if isinstance(error, flags.UnrecognizedFlagError):
        return f"--{_cut(error.flagname)} is no flag of this program{_meant(error, flag_values)}"
    if isinstance(error, flags.IllegalFlagValueError) and error.__context__ is not None:
        name, _, rest = text.removeprefix("flag --").partition("=")
        reason = str(error.__context__)
        value = rest.removesuffix(f": {reason}")
        wanted = _wanted(flag_values[name])
        if wanted is None:
            return f"--{name}={_cut(value)}: {reason}"
        return f"--{name} must be {wanted}, got {_cut(repr(value))}"
    if match := _MISSING.fullmatch(text):
        return f"--{match['name']} needs a value: write --{match['name']}=VALUE"
    if match := _NO_VALUE.fullmatch(text):
        value = _cut(repr(match["value"]))
        return f"--{match['name']} takes no value: write it alone, got {value}"
    return _cut(" ".join(text.split()), 200)


def _meant(error: flags.UnrecognizedFlagError, flag_values: flags.FlagValues) -> str:
    """The flags that may be meant by one that is none, as a question."""
    named = {name.lower(): name for name in own_flags(flag_values)}
    written = error.flagname.lower().lstrip("-").replace("-", "_")
    similar = dict.fromkeys(
        f"--{named[name]}"
        for form in (written, written.removeprefix("no"))
        for name in difflib.get_close_matches(form, named, n=2, cutoff=SIMILAR)
    )
    return f"; did you mean {' or '.join(similar)}?" if similar else ""


def _wanted(flag: flags.Flag) -> str | None:
    """What the value of a flag must be; None where the error of its kind says so itself."""
    if isinstance(flag.parser, flags.BooleanParser):
        return "true or false"
    if isinstance(flag.parser, flags.EnumParser):
        return " or ".join(flag.parser.enum_values)
    for kind, article in ((flags.IntegerParser, "an"), (flags.FloatParser, "a")):
        if isinstance(flag.parser, kind):  # whose help has an article only where there is no bound
            wanted = flag.parser.syntactic_help
            return wanted if wanted.startswith("a") else f"{article} {wanted}"
    return None


def _cut(text: str, longest: int = LONGEST) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."
