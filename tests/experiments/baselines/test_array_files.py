"""Arrays of a file that is damaged."""

import random
import re

import numpy as np
import pytest

from experiments.baselines.array_files import read_arrays, write_arrays
from utils.errors import UsageError


@pytest.fixture
def stored(tmp_path):
    """A file, and its arrays, all of one shape: the wrong one would fit."""
    arrays = [np.full([2, 3], number, np.float32) for number in range(12)]
    write_arrays(tmp_path / "features.npz", arrays)
    return tmp_path / "features.npz", arrays


def test_arrays_come_back_in_their_order(stored):
    file, arrays = stored
    np.testing.assert_array_equal(read_arrays(file), arrays)


def test_a_turned_bit_is_refused_in_one_line_or_changes_nothing(stored):
    file, arrays = stored
    content = file.read_bytes()
    names = [found.end() - 5 for found in re.finditer(rb"arr_\d+\.npy", content)]
    turned = {(position, bit) for position in names for bit in range(8)}
    some = random.Random(0)
    listed = content.index(b"PK\1\2")  # where the zip's list of its members begins
    turned |= {(some.randrange(listed, len(content)), some.randrange(8)) for _ in range(600)}
    lines = set()
    for position, bit in sorted(turned):
        damaged = bytearray(content)
        damaged[position] ^= 1 << bit
        file.write_bytes(damaged)
        try:
            found = read_arrays(file)
        except UsageError as error:
            lines.add(str(error))
        else:
            # The list's end says how many there are; the networks know how many they need.
            np.testing.assert_array_equal(found, arrays[: len(found)])
    assert len(lines) > 5
    for line in lines:
        assert re.fullmatch(
            rf"{file} does not hold the trained features \(.+\): remove it, .+", line
        )
