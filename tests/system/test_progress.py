import sys
import time

import pytest

from system.progress import Progress


def shown(capsys, total, counts):
    with Progress("Reading", total, "images") as progress:
        for done in counts:
            progress.update(done)
    return capsys.readouterr().err


def test_a_log_file_has_a_line_every_quarter(capsys):
    lines = shown(capsys, 40, range(41)).splitlines()
    assert lines == [f"Reading: {done}/40 images" for done in (0, 10, 20, 30, 40)]


def test_where_the_end_is_not_known_the_first_count_is_said(capsys):
    assert shown(capsys, 0, [1, 2, 3]) == "Reading: 1 images\n"


def test_what_is_done_soon_says_nothing(capsys, monkeypatch):
    seconds = iter([10.0, 10.5, 12.5, 15.0])  # the first is when it begins
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    with Progress("Reading", 4, "images", after=2.0) as progress:
        for done in (1, 2, 3):
            progress.update(done)
    assert capsys.readouterr().err.splitlines() == ["Reading: 2/4 images", "Reading: 3/4 images"]


@pytest.mark.parametrize("counts", [[1, 2], [1]])
def test_a_terminal_has_one_line_that_ends_whatever_happens(capsys, monkeypatch, counts):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    text = shown(capsys, 2, counts)
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert text.startswith("\rReading: 1/2 images")
