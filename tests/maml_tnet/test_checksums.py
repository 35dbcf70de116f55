import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from maml_tnet.checksums import ChecksumError, UnreadableError, checksums, verify


@pytest.fixture
def sums(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "below" / "b c").write_bytes(b"")
    file = tmp_path / "SHA256SUMS"
    file.write_text(checksums(tmp_path, ["below/b c", "a"]))
    return file


def test_files_as_they_were_have_their_names_returned(sums):
    assert verify(sums) == {"a", "below/b c"}


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="there is no sha256sum")
def test_sha256sum_reads_it(sums):
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", sums.name],
        cwd=sums.parent,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == ["a: OK", "below/b c: OK"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_in_the_place_of_the_list_is_named(sums):
    sums.unlink()
    os.mkfifo(sums)
    with pytest.raises(ChecksumError, match=f"cannot read {sums}: it is no file"):
        verify(sums)


def test_another_content_is_named(sums):
    (sums.parent / "a").write_bytes(b"ONE")
    with pytest.raises(ChecksumError, match=f"{sums.parent}/a is damaged"):
        verify(sums)


def test_a_missing_file_is_named(sums):
    (sums.parent / "a").unlink()
    with pytest.raises(
        ChecksumError, match=f"cannot read {sums.parent}/a, which .*SHA256SUMS lists"
    ):
        verify(sums)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"",
        lambda text: text[:-1],
        lambda text: text[1:],
        lambda text: text.replace(b"  a", b" a"),
        lambda text: text.replace(b"  a", b"  \0"),
        lambda text: text.replace(b"  a", b"  \xff"),
    ],
)
def test_a_damaged_list_is_named(sums, change):
    sums.write_bytes(change(sums.read_bytes()))
    with pytest.raises(ChecksumError, match=str(sums)) as error:
        verify(sums)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("name", ["a", "SHA256SUMS"])
def test_what_may_not_be_read_is_not_called_damaged(sums, monkeypatch, name):
    def opened(path, *args):
        if path.name == name:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return open(path, *args)

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(UnreadableError, match=f"^cannot read {sums.parent}/{name}: Permission den"):
        verify(sums)
