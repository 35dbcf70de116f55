"""Documents are read as what they must be; anything else is one line that names the file."""

import json

import numpy as np
import pytest

from experiments.documents import (
    entry,
    numbers,
    parsed,
    read_document,
    rounded,
    write_document,
)
from system.errors import FileError


def test_a_document_is_read_as_it_was_written(tmp_path):
    file = tmp_path / "x.json"
    assert read_document(file, ("a",)) is None
    write_document(file, {"a": 1})
    assert read_document(file, ("a",)) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "must hold an object, got a list"),
        ("1", "must hold an object, got 1"),
        ("{", "is not JSON that this program wrote: "),
        ("{}", "is not what it should be: it has no 'a'"),
        (None, "is not a file"),  # a folder
    ],
)
def test_what_is_no_document_is_named(tmp_path, text, said):
    file = tmp_path / "x.json"
    if text is None:
        file.mkdir()
    else:
        file.write_text(text)
    with pytest.raises(FileError) as error:
        read_document(file, ("a",))
    assert str(error.value).startswith(f"{file} {said}")
    assert str(error.value).endswith(
        "; remove it, and what it holds is made again, or move it away"
    )
    assert "\n" not in str(error.value)


def test_an_error_of_the_form_is_said_of_the_file(tmp_path):
    assert parsed(tmp_path, lambda: 1) == 1
    for parse, said in (
        (lambda: {}["a"], "it has no 'a'"),
        (lambda: entry({"a": []}, "a", dict), "'a' must be an object"),
        (lambda: entry({"a": True}, "a", int), "'a' must be a whole number"),
    ):
        with pytest.raises(FileError) as error:
            parsed(tmp_path, parse)
        assert f"{tmp_path} is not what it should be: {said}; " in str(error.value)
    with pytest.raises(ZeroDivisionError):  # of our own, which keeps its traceback
        parsed(tmp_path, lambda: 1 / 0)


def test_numbers_are_of_a_shape():
    np.testing.assert_array_equal(numbers({"a": [[1, None]]}, "a", (None, 2)), [[1, np.nan]])
    assert numbers({"a": 0.5}, "a", ()) == 0.5
    for value in (
        [1, 2],
        [[1, 2, 3]],
        [[1], [1, 2]],
        [["x", 1]],
        [],
        None,
        {},
        "12",
        [[10**400, 1]],
    ):
        with pytest.raises(ValueError, match=r"^'a' must be numbers \[any, 2\]$"):
            numbers({"a": value}, "a", (None, 2))


def test_values_are_stored_to_a_few_digits():
    assert rounded(np.array([[1 / 3], [np.nan]])) == [[0.33333], [None]]
    assert json.dumps(rounded(np.float32(0.1))) == "0.1"
