"""--help of a program, with the flags that its parts define."""

import sys

from absl import app, flags

from utils.command.library_flags import own_flags


def define_help(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Define --help and the like, to be called when all other flags are defined.

    absl's own `define_help_flags` shows no flag but those that the module which is run defines.
    """
    app.define_help_flags()
    for name in own_flags(flag_values):
        flag_values.register_key_flag_for_module(sys.argv[0], flag_values[name])
