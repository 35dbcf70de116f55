import errno
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from absl import flags

from experiments import command, original_checkpoint
from tests.fixtures import NEWEST
from utils.command.flags import define, parse
from utils.command.paths import PathParser, check_output_file, expanded, export_folder
from utils.errors import UsageError

PATHS = {
    "main.py": "data_path cache_dir logdir run export_dir model support query save_adapted picture",
    "experiments": "output workdir data_path cache_dir pretrained",
    "original_checkpoint": "checkpoint data_path cache_dir export_dir",
}


def of_experiments(values):
    return command.define_images(command.define("name", ["part"], values))


PROGRAMS = {
    "main.py": define,
    "experiments": of_experiments,
    "original_checkpoint": original_checkpoint.define,
}


@pytest.mark.parametrize("program", PATHS)
def test_every_path_flag_of_every_program_expands_the_home_folder(program, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    values = PROGRAMS[program](flags.FlagValues())
    paths = {name for name in values if isinstance(values[name].parser, PathParser)}
    assert paths == set(PATHS[program].split())
    for name in paths:
        parse(["main.py", f"--{name}=~/below"], values)
        assert values[name].value in (f"{tmp_path}/below", [f"{tmp_path}/below"])
        with pytest.raises(UsageError, match=rf"^--{name}=~nobody-here/x: there is no home"):
            parse(["main.py", f"--{name}=~nobody-here/x"], values)


def test_a_path_without_a_home_folder_stays_as_it_is():
    for path in ("a", "a/~", "./~nobody-here", "/data"):
        assert expanded(path) == path
    root = Path(expanded("~root/x"))
    assert root == Path(os.path.expanduser("~root"), "x")
    assert root.is_absolute()


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("", "must name a file or folder, got an empty text"),
        ("  ", "must name a file or folder"),
        ("a\udcff", "must be written in UTF-8"),
        ("a\0b", "must not have the character NUL"),
        ("a" * 256, "is too long for a path"),
        ("ä" * 128, "is too long for a path"),
        ("a/" * 3000, "is too long for a path"),
        ("logs\r", "must not end with the end of a line"),
        ("gs://bucket/logs", "must be a file or folder of this machine, not an address"),
        ('"/my images"', "must be written without quotes here"),
        ("'x'", "must be written without quotes here"),
        ("$HOME/x", r"has \$HOME in it, which only a shell replaces: write the folder"),
        ("a/${USER}", r"has \$\{USER\} in it, which only a shell replaces"),
        ("C:\\%USERPROFILE%\\x", "has %USERPROFILE% in it"),
        ("~nobody-here", "there is no home folder ~nobody-here; a file of this name is ./~nobody"),
    ],
)
def test_what_is_no_path_is_said(path, line):
    with pytest.raises(ValueError, match=line):
        expanded(path)


def test_names_with_quotes_and_dollars_are_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("$HOME").mkdir()
    Path("'x'").mkdir()
    for path in ("$HOME/new", "'x'", "./bob's", "price-$5", "$RECYCLE.BIN/x", "100%", "a%b%c"):
        assert expanded(path) == path


def test_a_current_folder_that_is_gone_is_one_line(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(UsageError, match=r"the current folder is gone .* \(No such file"):
        parse(["main.py"], define(flags.FlagValues()))


def test_folders_whose_names_are_not_utf_8_are_one_line(tmp_path, monkeypatch):
    folder = tmp_path / "a\udcff"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    with pytest.raises(UsageError, match=r"^--logdir=~/x: leads to a home folder whose name is"):
        parse(["main.py", "--logdir=~/x"], define(flags.FlagValues()))
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(UsageError, match=r"^--export_dir=.*link/x cannot be written: .* UTF-8$"):
        export_folder(str(tmp_path / "link" / "x"))
    monkeypatch.chdir(folder)
    with pytest.raises(UsageError, match=r"^the current folder, .* has no name in UTF-8"):
        parse(["main.py"], define(flags.FlagValues()))


def test_an_export_goes_to_a_new_folder_or_replaces_an_earlier_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert export_folder("a/../b") == tmp_path / "b"
    with pytest.raises(UsageError, match=r"--export_dir=\. exists and is not a SavedModel"):
        export_folder(".")
    model = NEWEST / "images-2way-1shot-mtnet-seed0" / "saved_model"
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "link").symlink_to("model")
    assert export_folder("model") == export_folder("link") == tmp_path / "model"
    with pytest.raises(UsageError, match="exists and is not a SavedModel"):
        export_folder("model/saved_model.pb")


@pytest.fixture
def read_only(monkeypatch):
    """Folders of these names take nothing, as those of another user; root may write all."""
    folders = []
    real = tempfile.TemporaryFile

    def make(dir):
        if dir in folders:
            raise PermissionError(errno.EACCES, "Permission denied", str(dir))
        return real(dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", make)
    return folders


def test_an_export_below_a_folder_that_takes_nothing_is_said_before_anything_starts(
    tmp_path, read_only
):
    read_only.append(tmp_path)
    said = f"--export_dir={tmp_path}/a/b cannot be written: nothing can be made in {tmp_path}$"
    with pytest.raises(UsageError, match=said):
        export_folder(f"{tmp_path}/a/b")
    # An earlier export is replaced by renaming, which changes the folder above it.
    shutil.copytree(NEWEST / "images-2way-1shot-mtnet-seed0" / "saved_model", tmp_path / "model")
    with pytest.raises(
        UsageError, match=f"model cannot be written: nothing can be made in {tmp_path}"
    ):
        export_folder(f"{tmp_path}/model")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="of Linux")
def test_a_folder_whose_permissions_say_too_much_takes_nothing():
    with pytest.raises(UsageError, match=r"^--picture=/proc/x\.png cannot be written: nothing can"):
        check_output_file("/proc/x.png", "picture")


def test_a_file_that_cannot_be_written_is_said_before_anything_starts(tmp_path):
    check_output_file(f"{tmp_path}/new/x.png", "picture")
    (tmp_path / "file").touch(0o777)
    check_output_file(f"{tmp_path}/file", "picture")
    for folder in (tmp_path, f"{tmp_path}/x.png/"):
        with pytest.raises(UsageError, match=f"^--picture={folder} is a folder: name a file"):
            check_output_file(str(folder), "picture")
    said = f"^--picture={tmp_path}/file/x.png cannot be written: nothing can be made in {tmp_path}"
    with pytest.raises(UsageError, match=said):
        check_output_file(f"{tmp_path}/file/x.png", "picture")


def test_names_that_grow_too_long_while_they_are_written_are_said(tmp_path):
    check_output_file(f"{tmp_path}/{'a' * 200}", "picture")
    export_folder(f"{tmp_path}/{'a' * 200}")
    for path in (f"{tmp_path}/{'a' * 250}", f"{tmp_path}/new/{'a' * 250}"):
        with pytest.raises(
            UsageError, match=r"^--picture=.* cannot be written: File name too long"
        ):
            check_output_file(path, "picture")
        with pytest.raises(UsageError, match=r"^--export_dir=.* be written: File name too long"):
            export_folder(path)


def test_a_link_to_itself_is_said(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    for path in (loop, loop / "x"):
        for check in (lambda p: check_output_file(p, "picture"), export_folder):
            with pytest.raises(UsageError, match=r"be written: .*(loop|symbolic links)"):
                check(str(path))


@pytest.mark.parametrize(
    ("path", "why"), [("a" * 300, "File name too long"), ("/dev/null/x", "Not a directory")]
)
def test_where_no_export_can_be_is_said_before_anything_starts(path, why):
    with pytest.raises(UsageError, match=f"^--export_dir={path} cannot be written: {why}"):
        export_folder(path)
