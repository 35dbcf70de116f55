import errno

import pytest
import tensorflow as tf
from absl import flags

from data_generators import DataError
from utils.command.flags import define, parse
from utils.command.refusals import in_words
from utils.errors import UsageError


@pytest.fixture
def values(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = define(flags.FlagValues())
    parse(
        ["main.py", "--logdir=runs", f"--data_path={tmp_path}/runs/data", "--query=a", "--query=b"],
        values,
    )
    return values


def denied(path):
    return PermissionError(errno.EACCES, "Permission denied", path)


@pytest.mark.parametrize(
    ("path", "flag"),
    [
        ("runs/x/config.json", "--logdir=runs: "),
        ("{cwd}/runs/x", "--logdir=runs: "),
        ("runs/data/a.png", "--data_path={cwd}/runs/data: "),  # the nearest
        ("b/c.png", "--query=b: "),
        ("other", ""),
        ("..", ""),  # which has several of them
    ],
)
def test_the_flag_that_names_the_path_is_named(values, tmp_path, path, flag):
    path, flag = (text.format(cwd=tmp_path) for text in (path, flag))
    expected = f"{flag}cannot read or write {path}: Permission denied"
    assert in_words(denied(path), values) == expected
    refused = tf.errors.PermissionDeniedError(None, None, f"{path}; Permission denied")
    assert in_words(refused, values) == expected


def test_of_the_default_cache_the_flag_that_names_another_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", f"{tmp_path}/cache")
    for given, advice in (
        ([], "; name another folder by --cache_dir=FOLDER"),
        ([f"--cache_dir={tmp_path}/mine"], ""),
    ):
        values = define(flags.FlagValues())
        parse(["main.py", *given], values)
        for path in ("cache/maml_tnet/a.zip", "cache"):
            path = str(tmp_path / path)
            expected = f"cannot read or write {path}: Permission denied{advice}"
            assert in_words(denied(path), values) == expected
        elsewhere = str(tmp_path / "cached")
        assert in_words(denied(elsewhere), values).endswith("Permission denied")


def test_a_folder_above_is_of_the_flag_below_it(tmp_path):
    values = define(flags.FlagValues())
    parse(["main.py", f"--logdir={tmp_path}/a/b"], values)
    assert in_words(denied(str(tmp_path)), values).startswith(f"--logdir={tmp_path}/a/b: cannot")


def test_an_error_that_has_words_keeps_them(values):
    def said(text, cause):
        try:
            raise DataError(text) from cause
        except DataError as error:
            return in_words(error, values)

    assert said("cannot read b", denied("b")) == "--query=b: cannot read b"
    assert said("--query=b is closed", denied("b")) == "--query=b is closed"
    assert said("b is no zip", ValueError("b")) == "b is no zip"
    assert said("an open file", OSError(errno.EIO, "Input/output error", 3)) == "an open file"
    assert said("no file", OSError(errno.ENOSPC, "No space left on device")) == "no file"
    assert in_words(UsageError("--a must be 1, got 2"), values) == "--a must be 1, got 2"


def test_where_the_current_folder_is_gone_no_flag_is_named(values, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert in_words(denied("a"), values) == "cannot read or write a: Permission denied"
