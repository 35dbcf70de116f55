import os

import pytest

from utils.command.flag_files import with_flag_files
from utils.errors import UsageError


def expand(*arguments):
    return list(with_flag_files(arguments))


def test_a_file_of_flags_stands_in_the_place_of_its_name(tmp_path):
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.write_text("--c=3\n")
    outer.write_text(f"# a comment\n\n  --b=2 \n// another\n--flagfile={inner}\n--d\n")
    expected = ["--a=1", "--b=2", "--c=3", "--d", "--e=5"]
    assert expand("--a=1", f"--flagfile={outer}", "--e=5") == expected
    assert expand("--a=1", "--flagfile", str(outer), "--e=5") == expected
    assert expand("--a=1", "--b") == ["--a=1", "--b"]


def test_lines_end_as_on_every_system_and_nowhere_else(tmp_path):
    file = tmp_path / "flags"
    file.write_bytes("\ufeff--a=\u20281\x0c\r\n--b\r--c= 'd' \n".encode())
    assert expand(f"--flagfile={file}") == ["--a=\u20281\x0c", "--b", "--c= 'd'"]


def test_the_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "flags").write_text("--a")
    assert expand("--flagfile=~/flags") == ["--a"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"\x7fELF\x02\x01\x01\x00\xff\xfe", "is not a text in UTF-8"),
        (b"--a\nelephant\n", "line 2 must be one flag, --name=value, got 'elephant'"),
        (b"--a\n--b 3\n", "line 2 must be one flag, --name=value, got '--b 3'"),
        (b"--a --b\n", "line 1 must be one flag, --name=value, got '--a --b'"),
        (b"\0" * 100, "line 1 must be one flag"),
        (b"#" * 2_000_000, "is too large for a file of flags"),
    ],
)
def test_a_file_that_holds_no_flags_is_one_line(tmp_path, content, line):
    file = tmp_path / "flags"
    file.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        expand(f"--flagfile={file}")
    assert str(caught.value).startswith(f"--flagfile={file}")
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_one_line_and_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for path in ("fifo", "nowhere", "."):
        with pytest.raises(UsageError, match="is not a file"):
            expand(f"--flagfile={tmp_path / path}")
    for argument in ("--flagfile=", "--flagfile", "--flagfile=~nobody-here/x"):
        with pytest.raises(UsageError, match=r"^--flagfile="):
            expand(argument)


def test_a_file_that_includes_itself_is_one_line(tmp_path):
    file = tmp_path / "flags"
    file.write_text(f"--flagfile={file}")
    with pytest.raises(UsageError, match="includes itself"):
        expand(f"--flagfile={file}")


def test_files_deep_inside_each_other_are_one_line(tmp_path):
    for number in range(1000):
        (tmp_path / str(number)).write_text(f"--flagfile={tmp_path}/{number + 1}\n" * 2)
    with pytest.raises(UsageError, match="lies more than 10 files of flags deep"):
        expand(f"--flagfile={tmp_path}/0")
