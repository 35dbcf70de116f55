import pytest

from system.atomic_file import atomic_write, write_text


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


def test_a_text_is_written_as_utf_8_with_the_line_ends_that_it_has(tmp_path):
    write_text(tmp_path / "text", "0.76 ± 0.09\r\nü\n")
    assert (tmp_path / "text").read_bytes() == b"0.76 \xc2\xb1 0.09\r\n\xc3\xbc\n"
