"""Downloads from servers on loopback, good and bad."""

import http.server
import threading
import time
import urllib.request

import numpy as np
import pytest

from data_generators import DataError
from data_generators.images import omniglot_files
from data_generators.images.download import download
from data_generators.images.omniglot_files import load_drawings

BODY = bytes(range(256)) * 1000


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.files`; the first folder of the path says how badly."""

    def do_GET(self):
        _, manner, name = self.path.split("/")
        body = self.server.files.get(name)
        self.server.requests.append(name)
        if body is None or manner == "missing":
            self.send_error(404)
            return
        self.send_response(200)
        if manner == "odd":
            self.send_header("Content-Length", "abc")
        elif manner != "unsized":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if manner == "slow":
            for start in range(0, len(body), len(body) // 6):
                self.wfile.write(body[start : start + len(body) // 6])
                time.sleep(0.25)
        elif manner == "short":
            self.wfile.write(body[: len(body) // 2])
        elif manner == "stall":
            self.wfile.write(body[: len(body) // 2])
            self.server.release.wait(30)
        elif manner == "wrong":
            self.wfile.write(b"<html>".ljust(len(body)))
        else:
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.requests, server.release = {"file": BODY}, [], threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.release.set()
    server.shutdown()
    thread.join()
    server.server_close()


def right_content(path):
    return None if path.read_bytes() == BODY else "it is something else"


@pytest.mark.parametrize("manner", ["good", "slow", "unsized", "odd"])
def test_a_complete_answer_makes_the_file_however_slowly_it_comes(server, tmp_path, manner, capsys):
    target = tmp_path / "new" / "file"
    download(f"{server.url}/{manner}/file", target, verify=right_content, timeout=1.4)
    assert target.read_bytes() == BODY
    assert [path.name for path in target.parent.iterdir()] == ["file"]
    assert f"Downloading {server.url}/{manner}/file" in capsys.readouterr().err


def test_progress_counts_up_to_the_size(server, tmp_path, capsys):
    download(f"{server.url}/good/file", tmp_path / "file", verify=right_content)
    assert capsys.readouterr().err.splitlines()[-1].endswith("256000/256000 bytes")


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ("missing", "HTTP 404"),
        ("short", "ended after 128000 of 256000 bytes"),
        ("stall", "no answer for 0.3 seconds"),
        ("wrong", "it is something else"),
    ],
)
def test_a_bad_answer_is_one_line_naming_the_url_and_leaves_nothing(
    server, tmp_path, manner, reason
):
    url = f"{server.url}/{manner}/file"
    with pytest.raises(DataError) as error:
        download(url, tmp_path / "file", verify=right_content, timeout=0.3)
    assert url in str(error.value)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
    download(f"{server.url}/good/file", tmp_path / "file", verify=right_content)
    assert (tmp_path / "file").read_bytes() == BODY


def test_no_server_is_one_line_naming_the_url(server, tmp_path):
    server.shutdown()
    server.server_close()
    with pytest.raises(DataError, match=f"cannot download {server.url}/good/file to .*refused"):
        download(f"{server.url}/good/file", tmp_path / "file", verify=right_content)
    assert not list(tmp_path.iterdir())


def test_a_proxy_that_is_none_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(urllib.request, "_opener", None)  # which has the proxies of its first use
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", "http:/proxy:3128")
    url = "http://127.0.0.1:1/file"
    with pytest.raises(DataError, match=f"^cannot download {url}: proxy URL with no authority"):
        download(url, tmp_path / "file", verify=right_content)


def test_a_folder_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "a file").touch()
    target = tmp_path / "a file" / "file"
    message = f"^cannot write {target}: File exists; name another folder by --cache_dir=FOLDER$"
    with pytest.raises(DataError, match=message):
        download(f"{server.url}/good/file", target, verify=right_content)


@pytest.mark.parametrize("manner", ["missing", "short", "stall", "wrong", "empty_zip", "refused"])
def test_omniglot_that_cannot_be_downloaded_leaves_nothing_and_says_what_to_do(
    server, tmp_path, manner
):
    # The smallest zip there is: valid, but without a single file.
    server.files = {"images_background.zip": b"PK\x05\x06" + bytes(18)}
    if manner == "refused":
        server.shutdown()
        server.server_close()
    with pytest.raises(DataError) as error:
        load_drawings(None, str(tmp_path), base_url=f"{server.url}/{manner}", timeout=0.3)
    assert f"{server.url}/{manner}/images_background.zip" in str(error.value)
    assert "--data_path can name a folder with images_background.zip" in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
    if manner == "empty_zip":
        assert "sent: the zip is not a complete zip file: it lists 0 of 0 files" in str(error.value)


def test_a_damaged_drawing_in_the_downloaded_zip_is_found(server, tmp_path, omniglot_path):
    body = bytearray((omniglot_path / "images_background.zip").read_bytes())
    body[len(body) // 2] ^= 0xFF
    server.files = {"images_background.zip": bytes(body)}
    with pytest.raises(DataError, match=r"images_background\.zip sent: cannot read the zip/"):
        load_drawings(None, str(tmp_path), base_url=f"{server.url}/good")
    assert not list(tmp_path.iterdir())


def bytes_of_file(tree, path, mode, side):
    """A drawing's file as it is (a few hundred bytes): to decode all of them takes long."""
    content = tree.read(path)[: side * side].ljust(side * side)
    return np.frombuffer(content, np.uint8).reshape(side, side)


def test_omniglot_is_downloaded_once_and_read(server, tmp_path, omniglot_path, monkeypatch):
    monkeypatch.setattr(omniglot_files, "read_image", bytes_of_file)
    zips = {path.name: path.read_bytes() for path in omniglot_path.glob("*.zip")}
    server.files = zips
    first = load_drawings(None, str(tmp_path / "cache"), base_url=f"{server.url}/good")
    assert sorted(server.requests) == sorted(zips)
    again = load_drawings(None, str(tmp_path / "cache"), base_url=f"{server.url}/missing")
    assert sorted(server.requests) == sorted(zips)
    local = load_drawings(str(omniglot_path), str(tmp_path / "other cache"))
    for drawings in (first, again):
        assert drawings.names == local.names
        assert (drawings.images == local.images).all()
