import io
import os
import signal
import sys

import pytest
import tensorflow as tf

from data_generators import DataError
from maml_tnet import ExportError
from system.errors import FileError
from utils.command.exit_code import exit_code
from utils.errors import TrainingDiverged, TrainingInterrupted, UsageError


def ending(capsys, error):
    """The code and the line of a program that raises an error."""

    def work():
        raise error

    code = exit_code(work)
    printed = capsys.readouterr()
    assert printed.out == ""
    return code, printed.err


def test_work_that_is_done_ends_with_0_and_without_a_word(capsys):
    done = []
    assert exit_code(lambda: done.append(1)) == 0
    assert done == [1]
    assert capsys.readouterr() == ("", "")


def test_output_that_nobody_reads_any_more_is_said(monkeypatch, capsys):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert exit_code(lambda: print("to whom?")) == 141
        print("nobody", flush=True)
    said = "the standard output was closed; nothing but the last checkpoint is saved\n"
    assert capsys.readouterr().err == said


def test_what_the_terminal_has_no_letters_for_is_printed_all_the_same(monkeypatch):
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding="ascii"))
    assert exit_code(lambda: print("k\u00e4fer", flush=True)) == 0
    assert output.getvalue() == b"k\\xe4fer\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UsageError("--a must be 1, got 2"), "error: --a must be 1, got 2\n"),
        (DataError("b.zip is damaged"), "error: b.zip is damaged\n"),
        (FileError("c.json is damaged"), "error: c.json is damaged\n"),
        (ExportError("cannot write c"), "error: cannot write c\n"),
        (TrainingDiverged(12), "error: the meta-loss of iteration 12 is not finite: "),
        (
            OSError(28, "No space left on device", "d"),
            "error: cannot read or write d: No space left on device\n",
        ),
        (
            tf.errors.PermissionDeniedError(None, None, "tensorboard/a; Permission denied"),
            "error: cannot read or write tensorboard/a: Permission denied\n",
        ),
        (
            tf.errors.OutOfRangeError(None, None, "events.v2; File too large"),
            "error: cannot read or write events.v2: File too large\n",
        ),
        (
            tf.errors.ResourceExhaustedError(None, None, "{{node e}} no memory [Op:Add]\nand more"),
            "error: no memory\n",
        ),
    ],
)
def test_bad_input_and_what_the_system_refuses_is_one_line_and_2(capsys, error, line):
    code, printed = ending(capsys, error)
    assert code == 2
    assert printed.startswith(line)
    assert printed.count("\n") == 1


def test_a_value_with_line_ends_and_marks_is_one_line(capsys):
    code, line = ending(capsys, UsageError("--data_path=a\nb\u202ec does not exist"))
    assert (code, line) == (2, "error: --data_path=a\\nb\\u202ec does not exist\n")


def test_a_signal_is_its_number_and_what_is_saved(capsys):
    stopped = TrainingInterrupted(signal.SIGTERM, 30)
    line = "stopped after iteration 30, which is saved: the same command goes on from there\n"
    assert ending(capsys, stopped) == (143, line)
    code, line = ending(capsys, KeyboardInterrupt())
    assert code == 130
    assert "nothing but the last checkpoint is saved" in line


def test_an_error_of_the_program_itself_keeps_its_traceback(capsys):
    with pytest.raises(ZeroDivisionError):
        ending(capsys, ZeroDivisionError())
