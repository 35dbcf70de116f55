"""Flags from a command line, for the tests of what they mean."""

from absl import flags

from utils.command.flags import config_from_flags, define, parse


def parsed(*arguments):
    """Parse arguments separated by spaces, in one text or in several."""
    flag_values = define(flags.FlagValues())
    assert parse(["main.py", *" ".join(arguments).split()], flag_values) == ["main.py"]
    return flag_values


def config(*arguments):
    return config_from_flags(parsed(*arguments))
