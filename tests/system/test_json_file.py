import json
import os
import random

import pytest

from system.errors import FileError
from system.json_file import read_object, read_objects, write_json

VALUE = {"b": 0.1, "a": [1, None, {"x": "ü"}], "t": True}


def test_what_is_written_is_read(tmp_path):
    write_json(tmp_path / "object", VALUE, indent=2)
    write_json(tmp_path / "list", [VALUE, {"1": 2}])
    assert read_object(tmp_path / "object") == VALUE
    assert list(json.loads((tmp_path / "object").read_text()))[:-1] == ["b", "a", "t"]
    assert read_objects(tmp_path / "list") == [VALUE, {"1": 2}]


def test_what_an_earlier_version_wrote_has_no_checksum(tmp_path):
    (tmp_path / "file").write_text('{"a": 1}')
    assert read_object(tmp_path / "file") == {"a": 1}


def test_objects_without_a_checksum_come_before_those_with_one(tmp_path):
    file = tmp_path / "file"
    write_json(file, [{"a": 1}])
    (sealed,) = json.loads(file.read_text())
    file.write_text(json.dumps([{"a": 0}, sealed]))
    assert read_objects(file) == [{"a": 0}, {"a": 1}]
    file.write_text(json.dumps([sealed, {"a": 2}]))
    with pytest.raises(FileError, match="one of its objects has no 'sha256'"):
        read_objects(file)


DAMAGED = {
    "missing": None,
    "empty": b"",
    "cut": b'{"a": 1',
    "not UTF-8": b'{"a": "\xff"}',
    "nested": b'{"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "nested, cut": b"[" * 100_000,
    "digits": b'{"a": ' + b"1" * 5_000 + b"}",
    "nan": b'{"a": NaN}',
    "infinite": b'{"a": 1e999}',
    "twice": b'{"a": 1, "b": {"c": 1, "c": 2}}',
    "a list": b"[1]",
    "a word": b'"' + b"x" * 100_000 + b'"',
    "null": b"null",
    "another checksum": b'{"a": 1, "sha256": "0"}',
    "a checksum of another type": b'{"a": 1, "sha256": {"a": []}}',
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_what_is_wrong_with_a_file_is_one_line_with_its_name(tmp_path, damage):
    file = tmp_path / "file.json"
    if DAMAGED[damage] is not None:
        file.write_bytes(DAMAGED[damage])
    for read in (read_object, read_objects):
        with pytest.raises(FileError, match=r"file\.json") as caught:
            read(file)
        assert len(str(caught.value)) < 300 + len(str(tmp_path))
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="pipe is not a file"):
        read_object(tmp_path / "pipe")


def test_no_byte_can_change_the_content_unnoticed(tmp_path):
    file = tmp_path / "file"
    write_json(file, VALUE)
    whole = file.read_bytes()
    draw = random.Random(0)
    accepted = 0
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([draw.randrange(256)]) + whole[place + 1 :])
        try:
            content = read_object(file)
        except FileError:
            continue
        accepted += 1  # other white space, or the same byte as before
        assert content == VALUE
    assert accepted < 0.05 * len(whole)


def test_the_mark_that_windows_editors_put_first_is_passed_over(tmp_path):
    file = tmp_path / "file"
    write_json(file, VALUE)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert read_object(file) == VALUE
