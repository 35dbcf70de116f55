"""A run shared out over two worker processes is that of one, whatever stops it."""

import errno
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace

import numpy as np
import program
import pytest
from disturbed import AFTER_TRAINING, Server, run_of
from runs_on_pictures import of_pictures, picture_folders
from workers import Workers, tf_configs, together

COMMAND = (
    "--use_T",
    "--use_M",
    "--update_batch_size=5",
    "--metatrain_iterations=30",
    "--num_test_tasks=20",
    "--dim_hidden=3",
)
NAME = "sinusoid-5shot-mtnet-seed0"
EPOCH = 10
LOST = "see what it said last; all workers started again with the same command go on"


@pytest.fixture(scope="module")
def server():
    with Server() as server:
        yield server


def one(server, logdir, *more):
    """A run that only trains."""
    run = run_of(server, NAME, logdir, (*COMMAND, *more), EPOCH)
    return replace(run, left_out=AFTER_TRAINING)


def two(server, logdir, *more):
    """The same of two workers."""
    return Workers(one(server, logdir, "--distribute=multiworker", *more))


@pytest.fixture(scope="module")
def alone(server, tmp_path_factory):
    """The run of one process, finished."""
    run = replace(one(server, tmp_path_factory.mktemp("alone")), left_out=())
    run.finish()
    return run


@pytest.fixture(scope="module")
def undisturbed(server, tmp_path_factory):
    """The run of two workers, finished, and how they ended."""
    run = replace(two(server, tmp_path_factory.mktemp("two")).run, left_out=())
    return run, Workers(run).finish()


def assert_close_checkpoints(actual, expected):
    here, there = (
        program.tensors(program.newest(r.folder / "checkpoints")) for r in (actual, expected)
    )
    assert here.keys() == there.keys()
    for name in here:
        if not name.startswith("save_counter"):
            np.testing.assert_allclose(here[name], there[name], 1e-3, 1e-6, err_msg=name)


def assert_close_evaluations(actual, expected, file):
    here, there = (
        np.genfromtxt(folder / "evaluation" / file, delimiter=",") for folder in (actual, expected)
    )
    # Below the names of columns, a row for each of 0, 1 and 2 inner steps.
    assert len(there) == 4
    assert np.isfinite(there[1:, 1:]).all()
    np.testing.assert_allclose(here, there, 1e-4)


def test_two_workers_are_one_process(alone, undisturbed):
    run, ends = undisturbed
    assert_close_checkpoints(run, alone)
    assert {p.relative_to(run.folder) for p in run.folder.rglob("*") if "events" not in p.name} == {
        p.relative_to(alone.folder) for p in alone.folder.rglob("*") if "events" not in p.name
    }
    assert_close_evaluations(run.folder, alone.folder, "test-5shot.csv")
    here, there = (json.loads((r.folder / "config.json").read_text()) for r in (run, alone))
    assert here == there
    chief, other = ends
    assert "inner steps" in chief.output
    assert other.output == "worker 1: what there is to see, worker 0 shows\n"


def test_a_mirrored_run_is_one_process(server, alone, tmp_path):
    run = one(server, tmp_path, "--distribute=mirrored")
    run.finish()
    assert_close_checkpoints(run, alone)


def test_workers_that_are_stopped_end_with_the_same_bits(server, undisturbed, tmp_path):
    expected, _ = undisturbed
    stopped = two(server, tmp_path)
    kill(stopped, 0, "after checkpoints/model-10")
    ends = stopped.go(signal.SIGTERM, "trained 14", worker=1)
    assert [end.code for end in ends] == [143, 143], ends
    assert program.iterations_saved(stopped.run.folder) == 14
    kill(stopped, 1, "before checkpoints/model-20")
    assert program.iterations_saved(stopped.run.folder) in (14, 20)
    stopped.finish()
    program.assert_same_checkpoint(
        program.newest(stopped.run.folder / "checkpoints"),
        program.newest(expected.folder / "checkpoints"),
        saves=False,
    )
    log = (stopped.run.folder / "log.csv").read_bytes()
    assert log == (expected.folder / "log.csv").read_bytes()


def kill(workers, worker, event):
    """Kill one at an event: the other must end, and say why."""
    ends = workers.go(signal.SIGKILL, event, worker)
    assert ends[worker].code == -signal.SIGKILL
    assert ends[1 - worker].code == 138
    assert LOST in ends[1 - worker].errors
    assert "Traceback" not in ends[1 - worker].errors


def test_a_run_goes_on_on_one_machine_and_on_two_again(server, alone, tmp_path):
    both = two(server, tmp_path)
    ends = both.go(signal.SIGTERM, "trained 12", worker=0)
    assert [end.code for end in ends] == [143, 143], ends
    said = "stopped after iteration 12, which is saved: the same command goes on from there"
    assert all(end.errors.splitlines()[-1] == said for end in ends)
    end = one(server, tmp_path).go(signal.SIGTERM, "trained 23")
    assert end.code == 143, end
    assert program.iterations_saved(both.run.folder) == 23
    both.finish()
    assert_close_checkpoints(both.run, alone)


def test_notrain_measures_on_two_what_one_has_measured(server, alone, tmp_path):
    shutil.copytree(alone.folder, tmp_path / NAME)
    shutil.rmtree(tmp_path / NAME / "evaluation")
    run = two(server, tmp_path, "--notrain", "--test_set").run
    Workers(replace(run, left_out=())).finish()
    assert_close_evaluations(run.folder, alone.folder, "test-5shot.csv")


def test_other_images_on_a_worker_are_refused_by_both(server, tmp_path):
    folders = picture_folders(tmp_path / "a"), picture_folders(tmp_path / "b", other=[7])
    runs = [of_pictures(server, tmp_path, data, "--distribute=multiworker") for data in folders]
    ends = together(runs)
    assert [end.code for end in ends] == [2, 2], ends
    for end in ends:
        assert re.fullmatch(
            "error: all workers must have the same data, but the fingerprint of --data_path's "
            "images is ([0-9a-f]+) on worker 0 and (?!\\1)[0-9a-f]+ on worker 1",
            end.errors.splitlines()[-1],
        )


def test_where_one_worker_has_no_images_the_other_ends_too(server, tmp_path):
    folders = picture_folders(tmp_path / "a"), tmp_path / "b"
    runs = [of_pictures(server, tmp_path, data, "--distribute=multiworker") for data in folders]
    here, there = together(runs)
    assert (here.code, there.code) == (138, 2)
    assert LOST in here.errors
    assert there.errors.splitlines()[-1].startswith(f"error: --data_path={tmp_path / 'b'}")


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (
            "--seed=0",
            "--seed=1",
            "all workers must have the same flags, but seed is 0 on worker 0 and 1 on worker 1",
        ),
        (
            "--meta_batch_size=3",
            "--meta_batch_size=3",
            "--meta_batch_size=3 cannot be shared out evenly over 2 replicas: give a multiple of 2",
        ),
    ],
)
def test_flags_that_cannot_be_are_refused_by_both(server, tmp_path, first, second, said):
    ends = together([two(server, tmp_path, flag).run for flag in (first, second)])
    assert [end.code for end in ends] == [2, 2], ends
    for end in ends:
        assert end.errors.splitlines()[-1] == f"error: {said}"


def test_a_worker_that_is_missing_is_named_in_time(server, tmp_path):
    first, second = tf_configs(2)
    run = two(server, tmp_path, "--peer_timeout=2").run
    request = run.request("worker0", environment=first)
    assert server.ask([request]) == [-signal.SIGKILL]
    address = json.loads(second["TF_CONFIG"])["cluster"]["worker"][1]
    with open(request["output"] + ".err") as file:
        assert (
            file.read()
            .splitlines()[-1]
            .startswith(
                "error: the workers have not met within --peer_timeout=2 seconds: "
                f"worker 1 ({address}) cannot be reached"
            )
        )


def test_a_port_that_another_program_has_is_named(server, tmp_path):
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        cluster = {"worker": [f"localhost:{port}", "localhost:1"]}
        config = {"cluster": cluster, "task": {"type": "worker", "index": 0}}
        environment = {"TF_CONFIG": json.dumps(config)}
        request = two(server, tmp_path).run.request("worker0", environment=environment)
        assert server.ask([request]) == [2]
    with open(request["output"] + ".err") as file:
        assert file.read().splitlines()[-1] == (
            f"error: TF_CONFIG gives this worker port {port}, on which it cannot listen: "
            f"{os.strerror(errno.EADDRINUSE)}"
        )


def test_replicas_of_both_kinds_are_one_process_to_rounding():
    command = [sys.executable, "-m", "tests.replicas", "--iterations=5", "--devices", "2"]
    command += ["--case", "dense-mtnet-sgd"]
    done = subprocess.run(command, cwd=program.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 4
