"""Files and folders that the user may not enter: one line, with the flag that names them."""

import builtins
import errno
import io
import os
import sys
from pathlib import Path

import program
import pytest
from PIL import Image


@pytest.fixture
def close(monkeypatch):
    """Closes a folder as its permissions would, which mean nothing to the root of a container."""

    def close(folder):
        def guarded(function):
            def guard(path, *args, **kwargs):
                within = isinstance(path, str | os.PathLike) and Path(path) != folder
                if within and Path(os.path.abspath(path)).is_relative_to(folder):
                    raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
                return function(path, *args, **kwargs)

            return guard

        for module, name in (
            *((os, name) for name in ("stat", "lstat", "open", "listdir", "mkdir")),
            *((module, "open") for module in (io, builtins)),
        ):
            monkeypatch.setattr(module, name, guarded(getattr(module, name)))

    return close


@pytest.mark.skipif(sys.platform != "linux", reason="patches what Linux calls")
@pytest.mark.parametrize(
    "arguments",
    [
        ("--logdir={}", "--use_T"),
        ("--notrain", "--run={}"),
        ("--export_dir={}",),
        ("--flagfile={}",),
        ("--datasource=images", "--data_path={}", "--cache_dir=c", "--logdir=logs"),
        ("--datasource=omniglot", "--cache_dir={}", "--logdir=logs"),
        ("--predict", "--model={}"),
        ("--predict", "--model={model}", "--support={}", "--query=a"),
        ("--predict", "--model={model}", "--support=a", "--query={}", "--picture="),
        ("--predict", "--model={model}", "--support=a", "--query=a", "--picture={}.png"),
    ],
)
def test_a_path_below_a_closed_folder_is_one_line(arguments, tmp_path, monkeypatch, capsys, close):
    model = Path("pretrained/drawings").absolute()
    monkeypatch.chdir(tmp_path)
    classes = Path("a").absolute()
    for name in ("one", "two"):
        (classes / name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(classes / name / "0.png")
    closed = tmp_path / "closed"
    closed.mkdir()
    close(closed)
    given = [argument.format(f"{closed}/x", model=model) for argument in arguments]
    assert program.run(*given) == 2
    *_, line = capsys.readouterr().err.splitlines()
    flag = next(argument for argument in given if str(closed) in argument)
    assert line.startswith(f"error: {flag}"), line
    assert "Permission denied" in line or "cannot be written" in line
    assert "Errno" not in line
