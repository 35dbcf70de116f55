"""What is wrong with a flag, in one line: its name, what it must be, the value given."""

import re

from absl import flags

LONGEST = 60  # letters of a value
_MISSING = re.compile(r"Missing value for flag --(?P<name>\w+)")
_NO_VALUE = re.compile(r"--(?P<name>no\w+)=(?P<value>.*) does not take an argument", re.DOTALL)


def explained(error: Exception, flag_values: flags.FlagValues) -> str:
    """Say what absl raised.

    Args:
        error: `flags.Error`, or a ValueError of parsing.
        flag_values: that were parsed.
    """
    text = str(error)
    if isinstance(error, flags.IllegalFlagValueError) and error.__context__ is not None:
        name, _, rest = text.removeprefix("flag --").partition("=")
        reason = str(error.__context__)
        wanted = _wanted(flag_values[name])
        if wanted is None:
            return f"--{name}={_cut(rest)}"
        return f"--{name} must be {wanted}, got {_cut(repr(rest.removesuffix(f': {reason}')))}"
    if match := _MISSING.fullmatch(text):
        return f"--{match['name']} needs a value: write --{match['name']}=VALUE"
    if match := _NO_VALUE.fullmatch(text):
        value = _cut(repr(match["value"]))
        return f"--{match['name']} takes no value: write it alone, got {value}"
    return _cut(" ".join(text.split()), 200)


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
