import re

from absl import flags

from utils.command.flags import define
from utils.command.help_flags import define_help


def test_help_shows_every_flag_of_the_program_and_none_of_its_libraries():
    values = define(flags.FlagValues())
    names = {*values}
    define_help(values)
    shown = re.findall(r"^ *--(?:\[no\])?(\w+):", values.main_module_help(), re.M)
    assert sorted(shown) == sorted(names)
    assert "--verbosity" not in values.main_module_help()
