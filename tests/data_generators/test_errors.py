"""Texts with anything in them become one line that a person can read."""

import pytest

from data_generators.errors import legible, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Käfer 虫", "Käfer 虫"),
        ("a\nb\tc\0", "a\\nb\\tc\\x00"),
        ("a\u2028b", "a\\u2028b"),
        ("gnp.\u202eexe", "gnp.\\u202eexe"),
        ("\u200fא", "\\u200fא"),
        ("👩\u200d🔬", "👩\u200d🔬"),  # joined to one sign
        ("\udcff", "\\xff"),
        ("x" * 1000, "x" * 1000),
        ("x" * 100_000, "x" * 999 + "…"),
    ],
)
def test_a_text_is_one_legible_line(text, shown):
    assert legible(text) == shown


def test_a_name_keeps_its_marks():
    assert printable("a\u202eb\n") == "a\u202eb\\n"
