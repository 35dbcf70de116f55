import pytest
from absl import flags

from experiments import command
from utils.command.flags import parse


@pytest.fixture
def program(monkeypatch, tmp_path):
    """Runs an experiment of the parts a and b; returns its exit code and the parts done."""
    values = command.define_images(command.define("name", "ab", flags.FlagValues()))
    monkeypatch.setattr(command, "FLAGS", values)
    monkeypatch.setattr(command, "parse", lambda argv: parse(argv, values))

    def run(*arguments):
        done = []
        folders = {"output": "new", "workdir": "runs", "pretrained": "models"}
        given = [f"--{name}={tmp_path}/{folder}" for name, folder in folders.items()]
        argv = ["name", *given, *arguments]
        return command.main(argv, "ab", done.extend), done

    return run


def test_parts_are_done_in_their_order(program):
    assert program("--only=b,a") == (0, ["a", "b"])


@pytest.mark.parametrize(
    ("argument", "line"),
    [
        ("--only=", "--only must be some of a,b, got none"),
        ("--only=a,c", "--only must be some of a,b, got 'c'"),
        ("--output=/dev/null", "--output=/dev/null cannot be written: File exists"),
        ("--output=/proc", "--output=/proc cannot be written: nothing can be made in /proc"),
        ("--workdir=/dev/null/x", "--workdir=/dev/null/x cannot be written: Not a directory"),
        (
            "--pretrained=/dev/null",
            "--pretrained=/dev/null cannot be written: nothing can be made in /dev/null",
        ),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_starts(program, capsys, argument, line):
    assert program(argument) == (2, [])
    assert capsys.readouterr().err == f"error: {line}\n"


def test_a_page_of_something_else_stays(program, tmp_path, capsys):
    page = tmp_path / "new" / "README.md"
    page.parent.mkdir()
    for text in ("my notes", "Written by `python -m experiments.other`; nothing here"):
        page.write_text(text)
        assert program() == (2, [])
        assert f"error: {page} is no page of experiments.name, which" in capsys.readouterr().err
    page.write_text("# Title\n\nWritten by `python -m experiments.name --seeds=1`; nothing here")
    assert program() == (0, ["a", "b"])
