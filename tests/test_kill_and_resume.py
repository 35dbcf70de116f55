"""A run that is killed, again and again, ends as if it had never been disturbed."""

import random
import re
import signal
from dataclasses import replace

import program
import pytest
from disturbed import AFTER_TRAINING, Server, run_of
from runs_on_pictures import PICTURES, SMALL_PICTURES, picture_folders

ITERATIONS = 150
SINUSOID = (
    "--use_T",
    "--use_M",
    "--update_batch_size=5",
    f"--metatrain_iterations={ITERATIONS}",
    "--num_test_tasks=20",
)
SINUSOID_EPOCH = 10
# What TensorFlow itself says when it starts, at its lowest verbosity.
STARTUP_LINES = re.compile(r"WARNING: All log messages before absl::|I0000 .*\] ")
SEED = 0


@pytest.fixture(scope="module")
def server():
    with Server() as server:
        yield server


def sinusoid(server, logdir):
    return run_of(server, "sinusoid-5shot-mtnet-seed0", logdir, SINUSOID, SINUSOID_EPOCH)


def training(events):
    """Numbers of the events between the third checkpoint and the last but two."""
    saved = [n for n, name in enumerate(events, 1) if name.startswith("after checkpoints/")]
    return range(saved[2], saved[-3])


@pytest.fixture(scope="module")
def undisturbed(server, tmp_path_factory):
    """A finished run that was left alone, and how its process ended."""
    run = sinusoid(server, tmp_path_factory.mktemp("undisturbed"))
    return run, run.finish()


@pytest.fixture(scope="module")
def killed(server, undisturbed, tmp_path_factory):
    """Killed at a seeded event, then while TensorFlow writes a checkpoint, then finished."""
    run = sinusoid(server, tmp_path_factory.mktemp("killed"))
    events = training(undisturbed[1].events)
    first = random.Random(SEED).choice(events[: len(events) // 2])
    assert run.go(signal.SIGKILL, first).code == -signal.SIGKILL
    done = program.iterations_saved(run.folder)
    assert 0 < done < 100
    later = f"appears checkpoints/model-{done + 5 * SINUSOID_EPOCH}"
    assert run.go(signal.SIGKILL, later).code == -signal.SIGKILL
    assert done < program.iterations_saved(run.folder) < ITERATIONS
    replace(run, left_out=["export"]).finish()
    return run


def test_killed_run_ends_with_the_same_weights_and_optimizer_state(killed, undisturbed):
    expected, _ = undisturbed
    program.assert_same_checkpoint(
        program.newest(killed.folder / "checkpoints"),
        program.newest(expected.folder / "checkpoints"),
    )


def test_killed_run_has_the_same_log_and_evaluation(killed, undisturbed):
    expected, _ = undisturbed
    log = (expected.folder / "log.csv").read_bytes()
    assert log.count(b"\n") == 1 + ITERATIONS // SINUSOID_EPOCH
    assert (killed.folder / "log.csv").read_bytes() == log
    name = "evaluation/test-5shot.csv"
    assert (killed.folder / name).read_bytes() == (expected.folder / name).read_bytes()


def test_a_quiet_run_writes_nothing_but_tensorflows_startup_on_stderr(undisturbed):
    _, ended = undisturbed
    lines = [line for line in ended.errors.splitlines() if not STARTUP_LINES.match(line)]
    assert lines == []


def test_signals_save_and_say_how_to_go_on(server, tmp_path, undisturbed):
    interrupted = replace(sinusoid(server, tmp_path), left_out=AFTER_TRAINING)
    events = training(undisturbed[1].events)
    # A run that goes on has fewer events before it trains, so the second one comes later.
    first, second = sorted(random.Random(SEED).sample(events[: len(events) // 2], 2))
    for number, code, at in ((signal.SIGTERM, 143, first), (signal.SIGINT, 130, second)):
        before = program.iterations_saved(interrupted.folder)
        ended = interrupted.go(number, at)
        done = program.iterations_saved(interrupted.folder)
        assert ended.code == code, ended.errors
        assert "Traceback" not in ended.errors
        assert ended.errors.splitlines()[-1] == (
            f"stopped after iteration {done}, which is saved: the same command goes on from there"
        )
        assert before < done < ITERATIONS
    interrupted.finish()
    program.assert_same_checkpoint(
        program.newest(interrupted.folder / "checkpoints"),
        program.newest(undisturbed[0].folder / "checkpoints"),
        saves=False,
    )
    log = (interrupted.folder / "log.csv").read_bytes()
    assert log == (undisturbed[0].folder / "log.csv").read_bytes()


def test_killed_run_on_pictures_ends_as_an_undisturbed_one(server, tmp_path):
    """With a checkpoint of the best weights and a cache of pictures."""
    command = (
        *SMALL_PICTURES,
        f"--data_path={picture_folders(tmp_path / 'pictures')}",
        f"--cache_dir={tmp_path / 'cache'}",
        "--metatrain_iterations=32",
        "--num_test_tasks=20",
        "--use_T",
        "--use_M",
    )
    name = PICTURES.replace("maml", "mtnet")

    def run(folder):
        return replace(run_of(server, name, folder, command, 4), left_out=["export"])

    expected, killed = run(tmp_path / "undisturbed"), run(tmp_path / "killed")
    events = training(expected.finish().events)
    at = "appears best/model-4"
    assert killed.go(signal.SIGKILL, at).code == -signal.SIGKILL
    at = random.Random(SEED).choice(events)
    assert killed.go(signal.SIGKILL, at).code == -signal.SIGKILL
    assert program.iterations_saved(killed.folder) < 32, "killed too late to show anything"
    killed.finish()

    for below in ("checkpoints", "best"):
        here, there = (program.newest(run.folder / below) for run in (killed, expected))
        assert here.rsplit("-", 1)[1] == there.rsplit("-", 1)[1]
        program.assert_same_checkpoint(here, there)
    for file in ("log.csv", "evaluation/test-1shot.csv"):
        assert (killed.folder / file).read_bytes() == (expected.folder / file).read_bytes()
