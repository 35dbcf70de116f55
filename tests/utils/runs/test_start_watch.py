import os
import socket
import sys

from utils.runs.start_watch import answers, input_ends, silent


def test_who_does_not_answer_is_named_also_where_a_name_is_none():
    with socket.create_server(("localhost", 0)) as server:
        there = f"localhost:{server.getsockname()[1]}"
        assert answers(there)
        for name in ("a..b", "x" * 70, "\0"):
            assert silent([there, f"{name}:1"]) == f"worker 1 ({name}:1)"


def test_the_watch_ends_when_its_input_does(monkeypatch):
    read, write = os.pipe()
    with open(read) as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        assert not input_ends(0.05)
        os.close(write)
        assert input_ends(30)
