import os
import subprocess
import sys
from pathlib import Path

import pytest

from system.atomic_file import atomic_write, only_writer, remove_remains, write_text


def test_a_file_has_its_name_only_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "file"
    with atomic_write(path) as file:
        file.write(b"first half, ")
        file.flush()
        assert not path.exists()
        file.write(b"second half")
    assert path.read_bytes() == b"first half, second half"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt])
def test_a_write_that_fails_leaves_what_was_there(tmp_path, stop):
    path = tmp_path / "file"
    path.write_bytes(b"earlier")

    def write_half():
        with atomic_write(path) as file:
            file.write(b"half")
            raise stop

    with pytest.raises(stop):
        write_half()
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="has no /dev/full")
def test_a_full_disk_is_said_with_the_name_of_the_file(tmp_path):
    def fill_the_disk():
        with atomic_write(tmp_path / "file"), open("/dev/full", "wb") as full:
            full.write(b"x")

    with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path}/file'"):
        fill_the_disk()


def test_a_text_is_written_as_utf_8_with_the_line_ends_that_it_has(tmp_path):
    write_text(tmp_path / "text", "0.76 ± 0.09\r\nü\n")
    assert (tmp_path / "text").read_bytes() == b"0.76 \xc2\xb1 0.09\r\n\xc3\xbc\n"


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def killed_while_writing(path):
    """A process that has half a file written, and waits; end it by `kill`."""
    code = (
        "import sys; from pathlib import Path; from system.atomic_file import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as file:\n"
        "    file.write(b'half'); file.flush(); print('half', flush=True); sys.stdin.read()"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert writer.stdout.readline() == b"half\n"
    return writer


def test_what_a_killed_writer_left_is_removed_and_nothing_of_one_at_work(tmp_path):
    (tmp_path / ".a.txt.part").write_text("a name that no writer gives")
    with killed_while_writing(tmp_path / "a") as at_work, killed_while_writing(tmp_path / "b") as b:
        b.kill()
        b.wait()
        assert len(names(tmp_path)) == 5
        remove_remains(tmp_path)
        left = names(tmp_path)
        assert len(left) == 3
        assert not any(name.startswith(".b.") for name in left)
        at_work.stdin.close()
    assert (tmp_path / "a").read_bytes() == b"half"
    assert names(tmp_path) == [".a.txt.part", "a"]


def test_the_next_writer_removes_what_was_left_of_its_file_or_folder(tmp_path):
    hexadecimal = "0123456789abcdef" * 2
    (tmp_path / f".model.{hexadecimal}.tmp" / "variables").mkdir(parents=True)
    (tmp_path / f".model.{hexadecimal}.part").touch()
    (tmp_path / f".other.{hexadecimal}.part").touch()
    with only_writer(tmp_path / "model"):
        assert names(tmp_path) == [".model.lock", f".other.{hexadecimal}.part"]
    assert names(tmp_path) == [f".other.{hexadecimal}.part"]
