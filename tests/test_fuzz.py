"""A seeded sample of damaged files; many more: `python -m tests.fuzz`."""

import pytest
from fuzz.cases import CASES, outcome


@pytest.mark.parametrize("name", CASES)
def test_damaged_files_are_read_or_refused_in_one_line(name):
    assert {outcome(name, number) for number in range(25)} <= {"read", "refused"}
