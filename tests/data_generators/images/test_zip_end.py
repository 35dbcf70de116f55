import io
import zipfile

import pytest

from data_generators.images.file_tree import ZipTree
from data_generators.images.zip_end import FileStart, find_end

FILES = {"a/0.png": b"0" * 1000, "b/1.png": b"1" * 5000}
EMPTY = b"PK\5\6" + bytes(18)


def zipped(comment=b"", files=FILES):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.comment = comment
    return buffer.getvalue()


@pytest.mark.parametrize(
    "comment",
    [
        b"",
        b"by a program",
        b"PK\5\6",
        b"PK\5\6" * 10,
        b"PK\5\6" + b"x" * 65531,
        b"x" * 65531 + b"PK\5\6",
        b"PK\5\6" + b"\xff" * 50,
        EMPTY,
        EMPTY * 3,
    ],
)
@pytest.mark.parametrize("before", [b"", b"a program that unpacks it"])
def test_a_comment_with_any_bytes_does_not_hide_the_files(tmp_path, comment, before):
    good = zipped()
    (tmp_path / "x.zip").write_bytes(before + zipped(comment))
    end = find_end(tmp_path / "x.zip")
    assert end == (2, len(before) + len(good))
    tree = ZipTree(tmp_path / "x.zip")
    assert {name: tree.read(name) for name in tree.files} == FILES


def test_a_list_in_the_form_for_many_files_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    (tmp_path / "x.zip").write_bytes(zipped(b"PK\5\6" + bytes(30)))
    assert b"PK\6\7" in (tmp_path / "x.zip").read_bytes()
    tree = ZipTree(tmp_path / "x.zip")
    assert {name: tree.read(name) for name in tree.files} == FILES


def test_a_file_without_its_end_is_read_like_one_that_ends_there(tmp_path):
    content = bytes(range(256)) * 100
    (tmp_path / "x").write_bytes(content)
    for size in (0, 1, 10_000, len(content)):
        expected = io.BytesIO(content[:size])
        with io.BufferedReader(FileStart(tmp_path / "x", size)) as start:
            for offset, whence in ((0, 0), (0, 2), (-size // 2, 2), (size, 0)):
                assert start.seek(offset, whence) == expected.seek(offset, whence)
                assert start.read(3) == expected.read(3)
                assert start.read() == expected.read()
                assert start.read() == b""
