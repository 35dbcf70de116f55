"""What needs more memory than there is, against sizes of arrays that are counted by hand."""

from dataclasses import replace

import pytest
from absl import flags

from utils.command.evaluation_flags import evaluation_settings
from utils.command.flags import config_from_flags, define, parse
from utils.command.memory_needs import check_memory, needs
from utils.errors import UsageError

GIGABYTES = 10**9


def parsed(*arguments):
    flag_values = define(flags.FlagValues())
    parse(["main.py", *arguments], flag_values)
    config = config_from_flags(flag_values)
    return config, evaluation_settings(flag_values, config)


def bytes_of(config, settings=None):
    return 4 * sum(part.numbers for part in needs(config, settings))


def test_a_meta_iteration_of_sinusoids_is_counted_array_by_array():
    config, _ = parsed("--use_T", "--dim_hidden=7", "--meta_batch_size=3", "--num_updates=2")
    kernels = 1 * 7 + 7 * 7 + 7 * 1
    transforms = 7 * 7 + 7 * 7
    examples = 3 * (10 + 10)  # tasks, support and query points
    hidden = 3 * 10 * (7 + 7)  # support points, in two hidden layers
    fast_weights = 3 * kernels
    numbers = 4 * (kernels + transforms) + examples + 2 * (hidden + fast_weights)
    assert bytes_of(config) == 4 * numbers
    assert bytes_of(replace(config, stop_grad=True)) == 4 * (numbers - hidden - fast_weights)


def test_a_meta_iteration_of_images_is_counted_array_by_array():
    config, settings = parsed(
        "--datasource=images", "--image_size=20", "--num_filters=8", "--meta_batch_size=3"
    )
    kernels = 3 * 3 * (3 * 8 + 3 * 8 * 8)
    examples = 3 * 5 * (1 + 5) * 20 * 20 * 3
    first_block = 5 * 1 * 20 * 20 * 8  # of one task's support images: tasks go in parts
    assert bytes_of(config) == 4 * (4 * kernels + examples + 5 * (first_block + kernels))
    wide = replace(settings, shot=4)
    examples = 5 * (4 + 5) * 20 * 20 * 3
    assert bytes_of(config, wide) == 4 * (4 * kernels + examples + 4 * first_block + kernels)


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (["--dim_hidden=90000"], "--dim_hidden=90000"),
        (["--meta_batch_size=100000", "--num_updates=1000"], "--meta_batch_size=100000, "),
        (["--datasource=omniglot", "--num_filters=90000"], "--num_filters=90000"),
        (
            ["--datasource=images", "--image_size=4096", "--meta_batch_size=10000"],
            "--image_size=4096",
        ),
        (
            ["--datasource=miniimagenet", "--update_batch_size=100000"],
            "--update_batch_size=100000, ",
        ),
    ],
)
def test_what_cannot_fit_is_one_line_that_names_its_flags(arguments, flag):
    config, _ = parsed(*arguments)
    with pytest.raises(UsageError) as caught:
        check_memory(config, available=64 * GIGABYTES)
    line = str(caught.value)
    assert line.startswith("this needs at least ")
    assert "and there are 64.0 GB: most of it is for " in line
    assert flag in line
    assert "\n" not in line


def test_an_evaluation_names_its_own_numbers():
    config, settings = parsed("--datasource=miniimagenet")
    check_memory(config, settings, available=GIGABYTES)
    with pytest.raises(UsageError, match="--update_batch_size=10000, "):
        check_memory(config, replace(settings, shot=10000), available=GIGABYTES)


@pytest.mark.parametrize(
    "arguments",
    [[], ["--datasource=omniglot", "--num_classes=20"], ["--datasource=miniimagenet"]],
)
def test_the_recipes_fit_into_a_gigabyte(arguments):
    check_memory(*parsed("--use_T", "--use_M", *arguments), available=GIGABYTES)
    check_memory(parsed("--use_T", "--use_M", *arguments)[0], available=GIGABYTES)
