"""A run shared out over two worker processes is that of one, whatever stops it."""

import json
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import program
import pytest
from disturbed import Server, run_of
from workers import Workers, tf_configs

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
    """A run whose end is not evaluated."""
    return replace(run_of(server, NAME, logdir, (*COMMAND, *more), EPOCH), only_train=True)


def two(server, logdir, *more):
    """The same of two workers."""
    return Workers(one(server, logdir, "--distribute=multiworker", *more))


@pytest.fixture(scope="module")
def alone(server, tmp_path_factory):
    """The run of one process, finished."""
    run = replace(one(server, tmp_path_factory.mktemp("alone")), only_train=False)
    run.finish()
    return run


@pytest.fixture(scope="module")
def undisturbed(server, tmp_path_factory):
    """The run of two workers, finished, and how they ended."""
    run = replace(two(server, tmp_path_factory.mktemp("two")).run, only_train=False)
    return run, Workers(run).finish()


def assert_close_checkpoints(actual, expected):
    here, there = (
        program.tensors(program.newest(r.folder / "checkpoints")) for r in (actual, expected)
    )
    assert here.keys() == there.keys()
    for name in here:
        if not name.startswith("save_counter"):
            np.testing.assert_allclose(here[name], there[name], 1e-3, 1e-6, err_msg=name)


def test_two_workers_are_one_process(alone, undisturbed):
    run, ends = undisturbed
    assert_close_checkpoints(run, alone)
    assert {p.relative_to(run.folder) for p in run.folder.rglob("*") if "events" not in p.name} == {
        p.relative_to(alone.folder) for p in alone.folder.rglob("*") if "events" not in p.name
    }
    file = "evaluation/test-5shot.csv"
    here, there = (np.genfromtxt(r.folder / file, delimiter=",") for r in (run, alone))
    # Below the names of columns, a row for each of 0, 1 and 2 inner steps.
    assert len(there) == 4
    assert np.isfinite(there[1:, 1:]).all()
    np.testing.assert_allclose(here, there, 1e-4)
    here, there = (json.loads((r.folder / "config.json").read_text()) for r in (run, alone))
    assert here == there
    chief, other = ends
    assert "inner steps" in chief.output
    assert other.output == "worker 1: what there is to see, worker 0 shows\n"


def test_a_mirrored_run_is_one_process(server, alone, tmp_path):
    run = one(server, tmp_path, "--distribute=mirrored")
    run.finish()
    assert_close_checkpoints(run, alone)


def test_workers_that_are_killed_end_with_the_same_bits(server, undisturbed, tmp_path):
    expected, ends = undisturbed
    killed = two(server, tmp_path)
    first_saved = ends[0].events.index("after checkpoints/model-10") + 1
    # The second worker's first event is that it begins to save the next one.
    for worker, event in ((0, first_saved), (1, 1)):
        stopped = killed.go(signal.SIGKILL, event, worker)
        assert stopped[worker].code == -signal.SIGKILL
        assert stopped[1 - worker].code == 138
        assert LOST in stopped[1 - worker].errors
        assert "Traceback" not in stopped[1 - worker].errors
    killed.finish()
    program.assert_same_checkpoint(
        program.newest(killed.run.folder / "checkpoints"),
        program.newest(expected.folder / "checkpoints"),
    )
    log = (killed.run.folder / "log.csv").read_bytes()
    assert log == (expected.folder / "log.csv").read_bytes()


def test_a_signal_to_one_saves_and_the_run_goes_on_on_one_machine(server, alone, tmp_path):
    both = two(server, tmp_path)
    ends = both.go(signal.SIGTERM, 2, worker=1)  # when it has saved its first checkpoint
    assert [end.code for end in ends] == [143, 143], ends
    assert program.iterations_saved(both.run.folder) == EPOCH
    assert all(f"stopped after iteration {EPOCH}, which is saved" in end.errors for end in ends)
    run = one(server, tmp_path)
    run.finish()
    assert_close_checkpoints(run, alone)


def test_other_flags_on_a_worker_are_refused_by_both(server, tmp_path):
    requests = [
        two(server, tmp_path, f"--seed={i}").run.request(f"worker{i}", environment=config)
        for i, config in enumerate(tf_configs(2))
    ]
    assert server.ask(requests) == [2, 2]
    for request in requests:
        with open(request["output"] + ".err") as file:
            assert file.read().splitlines()[-1] == (
                "error: all workers must have the same flags, but seed is 0 on worker 0 and 1 on "
                "worker 1"
            )


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


def test_replicas_of_both_kinds_are_one_process_to_rounding():
    command = [sys.executable, "-m", "tests.replicas", "--iterations=5", "--devices", "2"]
    command += ["--case", "dense-mtnet-sgd"]
    done = subprocess.run(command, cwd=program.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 3
