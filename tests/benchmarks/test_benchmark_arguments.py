import argparse
import os

import pytest

from benchmarks import run
from benchmarks.arguments import data, folder, number, path
from benchmarks.worker_client import WorkerError

MACHINE = {"cpu": "a", "cores": 1, "sgemm_gflops": 1.0, "gpus": []}


def parse(capsys, text, **argument):
    """What argparse makes of a value, or the last line that it says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--it", **argument)
    try:
        return parser.parse_args([f"--it={text}"]).it
    except SystemExit:
        return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("text", ["0", "11", "1.5", "nine", "1e300", "nan", "9" * 5000])
def test_a_number_out_of_bounds_is_one_line(capsys, text):
    line = parse(capsys, text, type=number(int, 1, 10))
    assert f"argument --it: must be from 1 to 10, got {text[:40]}" in line


@pytest.mark.parametrize("text", ["nan", "inf", "1e39", "-1"])
def test_a_float_must_be_within_bounds_too(capsys, text):
    assert f"must be from 0.5 to 3, got {text}" in parse(capsys, text, type=number(float, 0.5, 3))


def test_numbers_within_bounds_are_read(capsys):
    assert parse(capsys, "10", type=number(int, 1, 10)) == 10
    assert parse(capsys, "0.5", type=number(float, 0.5, 3)) == 0.5


def test_home_folders_are_expanded_and_unknown_users_named(capsys):
    assert parse(capsys, "~/x", type=path) == os.path.expanduser("~/x")
    assert "there is no home folder ~nobody-here" in parse(capsys, "~nobody-here/x", type=path)


def test_data_must_be_there(capsys, tmp_path):
    assert parse(capsys, str(tmp_path), type=data) == str(tmp_path)
    assert f"argument --it: {tmp_path}/x does not exist" in parse(
        capsys, f"{tmp_path}/x", type=data
    )


def test_earlier_results_stay_until_there_are_others(tmp_path, monkeypatch):
    def fail(*_):
        raise WorkerError("no framework")

    monkeypatch.setattr(run, "time_workload", fail)
    monkeypatch.setattr(run.machine, "describe", lambda: MACHINE)
    for name in ("results.json", "results.md"):
        (tmp_path / name).write_text("earlier")
    with pytest.raises(WorkerError):
        run.main([f"--output={tmp_path}", "--workloads", next(iter(run.WORKLOADS)), "--scaling"])
    assert [file.read_text() for file in tmp_path.iterdir()] == ["earlier"] * 2


def test_a_folder_that_cannot_be_made_is_named_with_its_argument(capsys, tmp_path):
    assert parse(capsys, f"{tmp_path}/new/x", type=folder) == tmp_path / "new" / "x"
    (tmp_path / "file").touch()
    line = parse(capsys, f"{tmp_path}/file", type=folder)
    said = f"argument --it: {tmp_path}/file cannot be written: nothing can be made in {tmp_path}"
    assert said in line
