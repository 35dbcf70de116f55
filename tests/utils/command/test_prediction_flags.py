from pathlib import Path

import pytest
from command_lines import parsed

from utils.command.prediction_flags import check_learned_flags, check_prediction_flags
from utils.errors import UsageError


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("--support=a", "--support needs --query, the images to classify, or --save_adapted"),
        ("--save_adapted=b --query=c", "--save_adapted needs --support, the classes to learn"),
        ("--support=a --save_adapted=b --json", "--json shows answers: give --query, the images"),
        ("--support=a --save_adapted=b --picture=c.png", "--picture shows answers: give --query"),
        ("--picture=a.xyz", r"--picture must end in \.png or \.pdf, or be empty, got 'a\.xyz'"),
    ],
)
def test_flags_of_a_prediction_that_do_not_fit_are_one_line(arguments, line):
    check_prediction_flags(parsed("--predict --support=a --query=b --picture=c.pdf"))
    with pytest.raises(UsageError, match=line):
        check_prediction_flags(parsed("--predict", arguments))


@pytest.mark.parametrize(
    ("arguments", "classes", "line"),
    [
        ("--query=b", None, "--query needs --support: --model=m is yet to learn classes"),
        ("--support=a --query=b", ["x", "y"], "has learned its classes, x, y: leave --support out"),
        ("", ["x", "y"], "--model=m has learned its classes: give --query"),
    ],
)
def test_a_model_that_has_learned_is_asked_and_another_learns_first(arguments, classes, line):
    given = parsed("--predict --model=m", arguments)
    with pytest.raises(UsageError, match=line):
        check_learned_flags(classes, given)
    check_learned_flags([] if classes is None else None, given)


def test_queries_are_named_by_a_flag_that_is_repeated(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parsed("--predict").query is None
    given = parsed("--predict --support=a --query=b.png --query=~/c,d --picture=")
    check_prediction_flags(given)
    assert given.query == ["b.png", f"{tmp_path}/c,d"]
    assert given.picture == ""
    with pytest.raises(UsageError, match="must name a file or folder, got an empty text"):
        parsed("--predict --query=")


@pytest.mark.parametrize(
    "arguments",
    [
        "--export_dir=d",
        "--mask=sample",
        "--run=r",
        "--support=a --query=b --datasource=omniglot",
        "--query=b --num_classes=3",
        "--support=a --query=b --data_path=d",
    ],
)
def test_what_no_prediction_looks_at_is_refused(arguments):
    name = arguments.split("--")[-1].partition("=")[0]
    with pytest.raises(UsageError, match=rf"^--{name} has no part in --predict.*: leave it out$"):
        check_prediction_flags(parsed("--predict", arguments))


def test_a_picture_that_is_not_drawn_need_not_be_written(tmp_path):
    (tmp_path / "file").touch()
    picture = str(tmp_path / "file" / "x.png")
    learns = parsed("--predict", "--support=a", "--save_adapted=b")
    learns["picture"].value = picture  # as by default
    check_prediction_flags(learns)
    with pytest.raises(UsageError, match=r"^--picture=.* cannot be written: nothing can be made"):
        check_prediction_flags(parsed("--predict --support=a --query=c", f"--picture={picture}"))


def test_no_picture_replaces_an_image_that_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("support/a/1.png", "query/2.png", "3.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    given = "--predict --support=support --query=query --query=3.png"
    for name in ("support/a/1.png", f"{tmp_path}/query/2.png", "./3.png"):
        with pytest.raises(UsageError, match=rf"^--picture={name} would replace one of the images"):
            check_prediction_flags(parsed(given, f"--picture={name}"))
    for name in ("query/new.png", "sheet.png"):
        check_prediction_flags(parsed(given, f"--picture={name}"))
