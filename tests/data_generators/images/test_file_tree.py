"""Folders and zips of any kind: listed, read, or said to be what they are."""

import io
import os
import struct
import zipfile
from pathlib import Path

import pytest

from data_generators import DataError
from data_generators.images import file_tree
from data_generators.images.file_tree import FolderTree, ZipTree, fingerprint, open_tree


def fill(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def zipped(path, files, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_files_below_a_folder_are_listed_and_read(tmp_path):
    fill(tmp_path, "a", "b/c", "b/d/e", ".hidden", "b/.git/f", "__MACOSX/a")
    fill(tmp_path, "b/@eaDir/c/THUMB.jpg", "$RECYCLE.BIN/S-1/x.png", "System Volume Information/x")
    tree = FolderTree(tmp_path)
    assert set(tree.files) == {"a", "b/c", "b/d/e"}
    assert tree.left_out == {}
    assert tree.read("b/d/e") == b"b/d/e"


def test_links_to_folders_and_files_are_followed(tmp_path):
    fill(tmp_path, "far/cat/0", "far/1")
    (tmp_path / "near").mkdir()
    (tmp_path / "near/kitten").symlink_to(tmp_path / "far/cat")
    (tmp_path / "near/file").symlink_to(tmp_path / "far/1")
    tree = FolderTree(tmp_path / "near")
    assert {name: tree.read(name) for name in tree.files} == {
        "kitten/0": b"far/cat/0",
        "file": b"far/1",
    }


def test_links_in_a_circle_end(tmp_path):
    fill(tmp_path, "a/0")
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    tree = FolderTree(tmp_path)
    assert set(tree.files) == {"a/0"}
    assert tree.left_out["a/up"] == f"it is the same folder as {tmp_path}"
    assert set(tree.left_out) == {"a/up", "self"}


def test_a_folder_under_two_names_is_listed_once(tmp_path):
    fill(tmp_path, "train/b/cat/0")
    (tmp_path / "train/a").symlink_to(tmp_path / "train/b")
    (tmp_path / "test").symlink_to(tmp_path / "train")
    tree = FolderTree(tmp_path)
    assert set(tree.files) == {"train/b/cat/0"}
    assert tree.left_out == {
        "test": "it is the same folder as train",
        "train/a": "it is the same folder as train/b",
    }


def test_what_is_no_file_is_left_out_with_its_reason(tmp_path):
    fill(tmp_path, "a")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    tree = FolderTree(tmp_path)
    assert set(tree.files) == {"a"}
    assert tree.left_out == {
        "pipe.png": "neither a file nor a folder",
        "zero.png": "neither a file nor a folder",
        "gone.png": "a link to nothing",
    }


def test_a_folder_of_too_much_else_is_not_listed_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(file_tree, "MOST_OTHERS", 300)
    fill(tmp_path, *(f"a/{number}.txt" for number in range(300)))
    assert len(FolderTree(tmp_path).files) == 300
    fill(tmp_path, "b/1.txt", "b/2.txt")
    said = f"{tmp_path} has too much in it .* among its first 301 files are 0 images"
    with pytest.raises(DataError, match=said):
        FolderTree(tmp_path)
    fill(tmp_path, *(f"a/{number}.png" for number in range(4)))
    assert len(FolderTree(tmp_path).files) == 306
    monkeypatch.setattr(file_tree, "MOST_ENTRIES", 307)
    with pytest.raises(DataError, match="files are 4 images"):
        FolderTree(tmp_path)


def test_a_folder_with_the_whole_system_is_refused_before_it_is_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "listdir", lambda path: pytest.fail(f"{path} is listed"))
    python = tmp_path / "opt" / "python"
    python.mkdir(parents=True)
    monkeypatch.setattr(os, "__file__", str(python / "os.py"))
    (tmp_path / "link").symlink_to("/")
    for root in ("/", f"{tmp_path}/link", "/usr", "/usr/lib", tmp_path, tmp_path / "opt", python):
        with pytest.raises(DataError, match=f"^{root} has programs in it, below /.*: name the"):
            FolderTree(Path(root))


def test_a_python_that_is_hidden_or_elsewhere_is_no_reason(tmp_path, monkeypatch):
    fill(tmp_path, "a/0.png", ".venv/lib/os.py")
    for place in (tmp_path / ".venv/lib/os.py", tmp_path.parent / "gone/os.py"):
        monkeypatch.setattr(os, "__file__", str(place))
        assert set(FolderTree(tmp_path).files) == {"a/0.png"}


def test_long_listing_says_how_far_it_is(tmp_path, monkeypatch, capsys):
    fill(tmp_path, "a/0.png", "a/1.txt")
    FolderTree(tmp_path)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(file_tree, "SAY_EVERY", 0.0)
    FolderTree(tmp_path)
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == f"listing {tmp_path}: 1 files so far, 1 of them images"


def test_a_link_to_a_folder_above_does_not_lead_everywhere(tmp_path):
    fill(tmp_path, "data/cat/0", "other/1")
    (tmp_path / "data/everything").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "data")
    for root in (tmp_path / "data", tmp_path / "link"):
        tree = FolderTree(root)
        assert set(tree.files) == {"cat/0"}
        assert tree.left_out == {"everything": f"it is the same folder as {tmp_path}"}


def test_a_folder_without_permission_is_named(tmp_path, monkeypatch):
    fill(tmp_path, "a/0", "b/0")
    listdir = os.listdir

    def denied(path):  # root may list everything
        if path == str(tmp_path / "b"):
            raise PermissionError(13, "Permission denied", str(path))
        return listdir(path)

    monkeypatch.setattr(os, "listdir", denied)
    tree = FolderTree(tmp_path)
    assert set(tree.files) == {"a/0"}
    assert tree.left_out == {"b": "Permission denied"}
    with pytest.raises(DataError, match=f"cannot read {tmp_path}/b: Permission denied"):
        FolderTree(tmp_path / "b")


def test_names_that_are_no_text_are_printable(tmp_path):
    odd = [b"\xff.png", b"a\nb", b"\xc3\xa9", b"d\xe9j\xe0/0"]
    for name in odd:
        path = os.path.join(os.fsencode(tmp_path), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(name)
    tree = FolderTree(tmp_path)
    assert {name: tree.read(name) for name in tree.files} == {
        "\\xff.png": odd[0],
        "a\\nb": odd[1],
        "é": odd[2],
        "d\\xe9j\\xe0/0": odd[3],
    }
    assert len(fingerprint((tree, name) for name in tree.files)) == 16


def test_a_file_that_is_gone_or_too_large_is_named(tmp_path, monkeypatch):
    fill(tmp_path, "a", "b")
    tree = FolderTree(tmp_path)
    (tmp_path / "a").unlink()
    with pytest.raises(DataError, match=f"cannot read {tmp_path}/a: No such file"):
        tree.read("a")
    os.truncate(tmp_path / "b", file_tree.LARGEST_FILE + 1)
    with pytest.raises(DataError, match=f"cannot read {tmp_path}/b: it has 268435457 bytes"):
        tree.read("b")


@pytest.mark.parametrize("compression", [0, 8, 12, 14], ids=["stored", "deflate", "bzip2", "lzma"])
def test_a_zip_is_read_like_a_folder(tmp_path, compression):
    files = {"a": b"", "b/c": b"text" * 9999, "b/é": b"1", ".x": b"2", "__MACOSX/a": b"3"}
    tree = ZipTree(zipped(tmp_path / "x.zip", files, compression))
    assert {name: tree.read(name) for name in tree.files} == {
        name: files[name] for name in ("a", "b/c", "b/é")
    }


@pytest.mark.parametrize("compression", [8, 12, 14], ids=["deflate", "bzip2", "lzma"])
def test_a_bomb_is_refused_by_its_size_or_its_checksum(tmp_path, compression, monkeypatch):
    """A file that says it is small, and unpacks to more than that, fills no memory."""
    monkeypatch.setattr(file_tree, "LARGEST_FILE", 10**6)
    path = zipped(tmp_path / "x.zip", {"a": bytes(10**6), "b": bytes(10**6 + 1)}, compression)
    tree = ZipTree(path)
    assert len(tree.read("a")) == 10**6
    with pytest.raises(DataError, match=f"cannot read {path}/b: it has 1000001 bytes, more than"):
        tree.read("b")
    lie = struct.pack("<I", 10**6 + 1), struct.pack("<I", 5)
    path.write_bytes(path.read_bytes().replace(*lie))
    with pytest.raises(DataError, match=f"cannot read {path}/b: "):
        ZipTree(path).read("b")


def test_folders_as_windows_writes_them_are_folders(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for system, name in ((0, "b\\c"), (0, "b\\"), (3, "b\\d"), (10, "b\\e"), (14, "b\\f")):
            entry = zipfile.ZipInfo(name)
            entry.create_system = system
            archive.writestr(entry, name)
    tree = ZipTree(path)
    assert {name: tree.read(name) for name in tree.files} == {
        "b/c": b"b\\c",
        "b\\d": b"b\\d",
        "b/e": b"b\\e",
        "b/f": b"b\\f",
    }


def test_names_of_a_zip_are_those_below_its_root(tmp_path):
    names = {"/a/0.png": b"0", "./a/1.png": b"1", "b//0.png": b"2", "a/../c.png": b"3"}
    tree = ZipTree(zipped(tmp_path / "x.zip", names))
    assert {name: tree.read(name) for name in tree.files} == {
        "a/0.png": b"0",
        "a/1.png": b"1",
        "b/0.png": b"2",
    }
    assert tree.left_out == {"a/../c.png": "a name that leads out of the zip"}


def test_a_second_file_of_one_name_in_a_zip_is_left_out(tmp_path):
    tree = ZipTree(zipped(tmp_path / "x.zip", {"a/0.png": b"0", "/a/0.png": b"1"}))
    assert tree.read("a/0.png") == b"0"
    assert tree.left_out == {"a/0.png": "the zip has another file of this name, which is used"}


def changed(path, offset, value):
    """Change a byte of the first entry of the list of files at the end of a zip."""
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + offset] = value
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("offset", "value", "line"),
    [
        (6, 99, "zip file version 9.9"),
        (8, 1, "encrypted"),
        (10, 97, "compression method"),
        (46, ord("x"), "differ"),
        (46, ord("."), "differ"),
    ],
    ids=["version", "encrypted", "compression", "name", "hidden name"],
)
def test_a_zip_that_cannot_be_read_is_one_line(tmp_path, offset, value, line):
    path = zipped(tmp_path / "x.zip", {"a": b"text" * 99})
    changed(path, offset, value)

    def read_all():
        tree = ZipTree(path)
        return [tree.read(name) for name in tree.files]

    with pytest.raises(DataError, match=rf"{path}.*{line}") as error:
        read_all()
    assert str(error.value).isprintable()


def test_a_zip_with_names_of_no_known_encoding_is_one_line(tmp_path):
    path = zipped(tmp_path / "x.zip", {"é": b"text"})
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xff\xfe"))
    with pytest.raises(DataError, match=f"{path} is not a complete zip file: 'utf-8' codec"):
        ZipTree(path)


@pytest.mark.parametrize("offset", [24, 32], ids=["size", "comment"])
def test_a_damage_that_no_checksum_of_zipfile_sees_is_found(tmp_path, offset):
    """A file without bytes, or a comment that swallows the next file of the list."""
    path = zipped(tmp_path / "x.zip", {"a": b"1", "b": b"22"}, zipfile.ZIP_STORED)
    changed(path, offset, 0 if offset == 24 else 47)
    with pytest.raises(DataError, match=r"says 0 bytes, the file itself 1|it lists 1 of 2 files"):
        ZipTree(path).read("a")


def test_a_list_of_files_that_is_blanked_gives_no_empty_file(tmp_path):
    path = zipped(tmp_path / "x.zip", {"a": b"text", "b": b""})
    assert ZipTree(path).read("b") == b""
    for offset in range(16, 28):  # the checksum and the two sizes
        changed(path, offset, 0)
    with pytest.raises(DataError, match=rf"cannot read {path}/a: .* says 0 bytes, the .*self 4$"):
        ZipTree(path).read("a")


@pytest.mark.parametrize("data", [b"", b"text", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_zip_or_an_empty_one_is_named(tmp_path, data):
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(DataError, match=f"{tmp_path}/x.zip is not a complete zip file: "):
        open_tree(tmp_path / "x.zip")


def test_a_path_that_is_neither_folder_nor_file_is_named(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match=f"--data_path={tmp_path}/pipe is neither a folder nor"):
        open_tree(tmp_path / "pipe")
    with pytest.raises(DataError, match=f"--data_path={tmp_path}/none does not exist"):
        open_tree(tmp_path / "none")


def test_a_zip_with_a_program_before_it_is_read(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", b"123")
    (tmp_path / "x.zip").write_bytes(b"prefix" + buffer.getvalue())  # as of a self-extracting zip
    assert ZipTree(tmp_path / "x.zip").read("a") == b"123"
