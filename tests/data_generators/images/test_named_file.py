import os
import zlib
from pathlib import Path

import pytest

from data_generators import DataError
from data_generators.images.named_file import NamedFile


def test_a_file_has_the_name_that_it_is_given_by(tmp_path, monkeypatch):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.png").write_bytes(b"here")
    monkeypatch.chdir(tmp_path)
    for given in ("below/a.png", str(tmp_path / "below" / "a.png")):
        tree = NamedFile(Path(given))
        assert list(tree.files) == [given]
        assert tree.left_out == {}
        assert tree.read(given) == b"here"
        assert tree.checksum(given) == zlib.crc32(b"here")


def test_what_cannot_be_read_is_said(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert NamedFile(pipe).left_out == {str(pipe): "neither a file nor a folder"}
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    assert NamedFile(link).left_out == {str(link): "No such file or directory"}
    large = tmp_path / "large"
    with large.open("wb") as opened:
        opened.truncate(2**28 + 1)  # takes no room
    (why,) = NamedFile(large).left_out.values()
    assert why == "it has 268435457 bytes, more than 268435456"
    file = tmp_path / "gone"
    file.touch()
    tree = NamedFile(file)
    file.unlink()
    with pytest.raises(DataError, match=f"cannot read {file}: No such file"):
        tree.read(str(file))
