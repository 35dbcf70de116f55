import dataclasses

import numpy as np
import pytest

from utils.command.configuration import Config
from utils.command.ranges import RANGES, check_range
from utils.errors import UsageError

NUMBERS = {f.name: f.type for f in dataclasses.fields(Config) if f.type in (int, float)}


def refused(name, value, bounds=None):
    with pytest.raises(UsageError) as caught:
        check_range(name, value, bounds)
    line = str(caught.value)
    assert line.startswith(f"--{name} must be ")
    assert "\n" not in line
    assert len(line) < 150
    return line


def test_every_number_that_determines_a_run_has_a_range():
    # Its least value depends on another flag.
    assert set(NUMBERS) - set(RANGES) == {"num_train_classes"}


@pytest.mark.parametrize("name", RANGES)
def test_a_range_includes_its_ends_and_nothing_beyond(name):
    least, most = RANGES[name]
    check_range(name, least)
    check_range(name, most)
    if NUMBERS.get(name) is float:
        refused(name, np.nextafter(most, np.inf))
        refused(name, np.nextafter(least, -np.inf))
    else:
        assert refused(name, most + 1).endswith(f"must be at most {most}, got {most + 1}")
        assert refused(name, least - 1).endswith(f"must be at least {least}, got {least - 1}")


@pytest.mark.parametrize("name", RANGES)
def test_what_no_tensor_holds_is_refused(name):
    for value in (2**64, 10**400, float("inf"), 1e39, 1e300):
        if value > 1e30 or NUMBERS.get(name) is not float:
            refused(name, value)
            refused(name, -value)


@pytest.mark.parametrize("name", [name for name, kind in NUMBERS.items() if kind is float])
def test_floats_are_what_the_computation_tells_from_0_and_infinity(name):
    least, most = RANGES[name]
    limits = np.finfo(np.float32)
    assert np.isfinite(np.float32(most))
    assert np.float32(most) > 0.99 * limits.max
    if least > 0:
        assert limits.smallest_normal < np.float32(least) < 1.1 * limits.smallest_normal
        refused(name, 1e-39)
        assert refused(name, 0.0).endswith("must be positive, got 0.0")
    refused(name, float("nan"))


def test_bounds_can_be_others():
    check_range("seeds", 3, (1, 3))
    assert refused("seeds", 4, (1, 3)).endswith("must be at most 3, got 4")


def test_what_a_float32_takes_for_0_is_not_0():
    assert refused("meta_grad_clip", 1e-50).endswith("must be 0 or at least 1.2e-38, got 1e-50")
