"""Flags that absl and TensorFlow define in every program that imports them."""

from collections.abc import Sequence

from absl import flags

from utils.errors import UsageError

# The others would be passed over, such as --verbosity and --only_check_args, or end in what they
# are for: the debugger.
WORKING = {"help", "helpshort", "helpfull", "helpxml", "undefok", "flagfile"}
_LIBRARIES = ("absl.", "tensorflow.")


def check_no_library_flag(arguments: Sequence[str], flag_values: flags.FlagValues) -> None:
    """Raise a UsageError if one of those is given that this program passes over."""
    passed_over = set(flag_values) - set(own_flags(flag_values)) - WORKING
    for argument in arguments:
        name = argument.lstrip("-").partition("=")[0]
        if argument.startswith("-") and passed_over & {name, name.removeprefix("no")}:
            hint = "; the folder of the runs is --logdir" if name == "log_dir" else ""
            raise UsageError(f"--{name} is no flag of this program{hint}")


def own_flags(flag_values: flags.FlagValues) -> list[str]:
    """The names of the flags that the program itself has defined."""
    return [
        name
        for name in flag_values
        if not (flag_values.find_module_defining_flag(name) or "").startswith(_LIBRARIES)
    ]
