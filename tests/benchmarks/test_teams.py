"""A team's processes, in whose place a script answers, or ends."""

import os
import subprocess
import sys
import time

import pytest

from benchmarks import distribution
from benchmarks.distribution import Team
from benchmarks.worker_client import WorkerError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="of Linux")

# As `taskset` it is started in the place of a worker.
WORKER = """#!/bin/sh
case "$TF_CONFIG" in *'"index": 1'*) {second} ;; esac
{first}
"""
ANSWER = "while true; do echo 8; read iterations || exit; done"


@pytest.fixture
def team(tmp_path, monkeypatch):
    """Makes a team of two, whose workers do as they are told, and the processes that it starts."""
    started = []

    class Process(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            if len(started) == 1 and "cannot start" in script.read_text():
                raise PermissionError(13, "Permission denied", "taskset")
            super().__init__(*args, **kwargs)
            started.append(self)

    def make(first, second):
        script.write_text(WORKER.format(first=first, second=second))
        script.chmod(0o755)
        return Team("omniglot-5way-maml", [{0}, {1}]), started

    script = tmp_path / "taskset"
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(distribution.subprocess, "Popen", Process)
    yield make
    for process in started:  # if the test fails
        process.kill()
        process.communicate()


def test_a_team_answers_and_ends(team):
    two, started = team(ANSWER, ANSWER)
    with two:
        assert two.gradient_bytes == 8
        assert two.run(2) == 4
        assert [process.poll() for process in started] == [None, None]
    assert all(process.returncode is not None for process in started)


@pytest.mark.parametrize(
    ("first", "second", "number"),
    [
        ("exec sleep 60", "exit 1", 2),
        (ANSWER, "exit 1", 2),
        ("exec sleep 60", "cannot start", 1),
    ],
)
def test_none_is_left_where_one_does_not_start(team, first, second, number):
    two, started = team(first, second)
    began = time.monotonic()
    with pytest.raises((WorkerError, PermissionError)):
        two.__enter__()
    assert len(started) == number
    assert all(process.returncode is not None for process in started)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("asked", [True, False])
def test_none_is_left_where_one_ends_while_others_wait_for_it(team, asked):
    two, started = team("echo 8; exec sleep 60", f"echo 8; {'read iterations;' * asked} exit 1")
    began = time.monotonic()

    def run():
        with two:
            if not asked:
                started[1].wait()
            two.run(2)

    with pytest.raises(WorkerError, match=r"^a worker has ended; see what it said$"):
        run()
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)
    assert time.monotonic() - began < 30
