"""Without Linux's /proc, `taskset` or as many cores one line says what is not measured."""

import json
import os
import subprocess
import sys

import pytest

from benchmarks import distribution, machine, program, run, timing
from benchmarks.report import scaling_table, workload_table
from benchmarks.worker import peak_megabytes
from benchmarks.worker_client import WorkerError


@pytest.fixture
def without_proc(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "PROC", tmp_path / "proc")
    monkeypatch.setattr(machine, "sgemm_gflops", lambda: 1.0)


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
def test_the_peak_is_that_of_all_processes():
    own = machine.peak_megabytes([os.getpid()])
    assert own > 10
    assert peak_megabytes() >= own
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert machine.peak_megabytes([os.getpid(), ended.pid]) == pytest.approx(own, rel=0.5)
    assert machine.peak_megabytes([ended.pid]) is None


def test_a_machine_without_proc_is_described(without_proc, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # as on macOS and Windows
    found = machine.describe()
    assert found["cpu"]
    assert found["cores"] == os.cpu_count()
    assert peak_megabytes() is None


def test_timings_without_a_peak(without_proc):
    class Worker:
        label = "ours"

        def run(self, iterations):
            return {"milliseconds": 100.0, "peak_mb": peak_megabytes()}

    (found,) = timing.measure([Worker()], repeats=2, seconds=0.1)
    assert found.peak_mb is None
    row = {
        "label": "ours",
        "median": 1.0,
        "samples": [1.0],
        "times_ours": {},
        "gflops": 1.0,
        "sgemm_fraction": None,
        "peak_mb": found.peak_mb,
        "first_ms": 1000.0,
    }
    result = {"timings": [row], "gradient_errors": {}, "gflop": 1, "skipped": {}, "refused": []}
    assert "| 1.0 |  |  | 1.0 | reference |" in workload_table("x", result)
    point = {"value": 1, "gflop": 1, "milliseconds": {"a": 1}, "peak_mb": {"a": None}, "failed": []}
    assert scaling_table("way", [point]).splitlines()[-1].endswith("| 1.000 |  |")


def test_the_benchmark_says_once_that_no_peak_is_measured(without_proc, tmp_path, capsys):
    assert run.main([f"--output={tmp_path}", "--workloads", "--scaling"]) == 0
    assert capsys.readouterr().out.count(machine.NO_PEAK) == 1


def test_the_programs_benchmark_says_that_no_peak_is_measured(
    without_proc, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(sys, "argv", ["program", f"--output={tmp_path}"])
    monkeypatch.setattr(program, "measure", lambda *_: {"seconds": 1.0})
    monkeypatch.setattr(program, "many_steps_in_a_process", lambda *_: [5.0, None])
    for name in ("OMNIGLOT_PATH", "PHOTOS_PATH"):
        monkeypatch.delenv(name, raising=False)
    program.main()
    assert capsys.readouterr().out.splitlines()[-1] == machine.NO_PEAK
    (file,) = tmp_path.glob("program-*.json")
    assert [5.0, None] in json.loads(file.read_text()).values()


def test_without_taskset_nothing_is_measured(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorkerError, match=r"^nothing is measured: there is no `taskset` \(Linux"):
        distribution.main([])


def test_without_the_cores_of_the_teams_nothing_is_measured(monkeypatch, tmp_path):
    (tmp_path / "taskset").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(machine, "cores", lambda: {1, 3})
    with pytest.raises(WorkerError, match=r"need the cores 0,1, this process may use 1,3$"):
        distribution.main([])
