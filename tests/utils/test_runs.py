import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from absl import flags

from utils.assembly import build_learner, build_source
from utils.config import Config
from utils.errors import TrainingDiverged, UsageError
from utils.flags import config_from_flags, define, parse
from utils.runs import KEPT_CHECKPOINTS, Checkpoints, Run, environment


def config(*arguments):
    flag_values = define(flags.FlagValues())
    parse(["main.py", "--dim_hidden=3", *arguments], flag_values)
    return config_from_flags(flag_values)


def learner(*arguments):
    settings = config(*arguments)
    return build_learner(settings, build_source(settings, None, ""))


def checkpoints(run, *arguments):
    """A run's checkpoints and the learner that they are of."""
    of = learner(*arguments)
    return Checkpoints(run, of), of


def fill(of, value):
    for variable in of.trainable_variables:
        variable.assign(tf.fill(variable.shape, float(value)))


def holds(of, value):
    return all(
        np.all(tf.convert_to_tensor(variable) == value) for variable in of.trainable_variables
    )


@pytest.fixture
def run(tmp_path):
    return Run.named_by(config(), str(tmp_path))


def test_run_folder_has_the_configurations_name(tmp_path, run):
    assert run.folder == tmp_path / "sinusoid-10shot-maml-seed0"


def test_start_records_configuration_and_every_start(run):
    run.start(resume=True)
    run.start(resume=True)
    assert Config.from_json((run.folder / "config.json").read_text(), "") == run.config
    starts = json.loads((run.folder / "environment.json").read_text())
    assert [start["tensorflow"] for start in starts] == [tf.__version__] * 2


def test_configuration_remembers_the_most_iterations_asked_for(tmp_path):
    for iterations, remembered in ((200, 200), (100, 200), (300, 300)):
        settings = config(f"--metatrain_iterations={iterations}")
        run = Run.named_by(settings, str(tmp_path))
        run.start(resume=True)
        stored = Config.from_json((run.folder / "config.json").read_text(), "")
        assert stored.metatrain_iterations == remembered


def test_garbled_environment_is_one_line(run):
    run.start(resume=True)
    (run.folder / "environment.json").write_text("{")
    with pytest.raises(UsageError, match=r"environment\.json is not JSON"):
        run.start(resume=True)


def test_environment_without_git_has_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert environment()["git_commit"] is None


def test_checkpoints_without_configuration_are_refused(run):
    run.checkpoint_folder.mkdir(parents=True)
    with pytest.raises(UsageError, match=r"holds checkpoints but no config\.json"):
        run.start(resume=True)


HOLDER = """
import fcntl, sys
lock = open(sys.argv[1], "a")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("resume", [True, False])
def test_a_run_is_trained_by_one_process_at_a_time(run, resume):
    run.folder.mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run.folder / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match="is being trained by another process"):
            run.start(resume=resume)
        assert [path.name for path in run.folder.parent.iterdir()] == [run.folder.name]
        assert not (run.folder / "config.json").exists()
        holder.kill()
    run.start(resume=resume)
    assert (run.folder / "config.json").exists()


def test_a_run_holds_its_lock(run):
    run.start(resume=True)
    attempt = (
        "import fcntl, sys\nfcntl.lockf(open(sys.argv[1], 'a'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    )
    process = subprocess.run(
        [sys.executable, "-c", attempt, str(run.folder / ".lock")], capture_output=True
    )
    assert b"BlockingIOError" in process.stderr


def test_moving_aside_never_overwrites_an_earlier_run(run):
    for number in range(3):
        run.start(resume=False)
        (run.folder / f"{number}").touch()
    moved = sorted(path.name for path in run.folder.parent.glob("*.old*/[0-9]"))
    assert moved == ["0", "1"]
    assert (run.folder / "2").exists()


LOG = "epoch,iteration,loss\r\n0,5.0,1.5\r\n1,10.0,1.25\r\n2,15.0,1.125\r\n"


@pytest.mark.parametrize(
    ("text", "iteration", "kept"),
    [
        (LOG, 10, LOG[: LOG.index("2,15")]),
        (LOG, 15, LOG),
        (LOG, 14, LOG[: LOG.index("2,15")]),
        (LOG, 0, LOG[: LOG.index("0,5")]),
        (LOG[:-8], 15, LOG[: LOG.index("2,15")]),  # half a row
        ("epoch,iter", 5, None),  # half a header
        ("", 5, None),
    ],
)
def test_log_is_trimmed_to_the_checkpoint(run, text, iteration, kept):
    run.folder.mkdir()
    run.log_file.write_bytes(text.encode())
    run.trim_log(iteration)
    assert (run.log_file.read_bytes().decode() if run.log_file.exists() else None) == kept


def test_a_log_that_is_not_there_is_not_trimmed(run):
    run.trim_log(5)
    assert not run.log_file.exists()


def test_saved_state_comes_back(run):
    first, of = checkpoints(run)
    fill(of, 3)
    first.save(7, validation=0.5)
    fill(of, 4)
    first.save(9, validation=0.4)

    second, other = checkpoints(run)
    assert second.restore_latest() == 9
    assert holds(other, 4)
    assert second.best.numpy() == 0.5
    assert second.restore_iteration(7) == 7
    assert holds(other, 3)
    assert second.restore_latest() == 9
    assert second.restore_best() == 7
    assert holds(other, 3)


def test_nothing_to_restore_is_iteration_0(run):
    assert checkpoints(run)[0].restore_latest() == 0
    with pytest.raises(UsageError, match="no best checkpoint in"):
        checkpoints(run)[0].restore_best()


def test_the_newest_ten_are_kept_and_one_best(run):
    saved, _ = checkpoints(run)
    for iteration in range(1, 14):
        saved.save(iteration, validation=float(iteration))
    there = {int(p.stem.split("-")[1]) for p in run.checkpoint_folder.glob("*.index")}
    assert there == set(range(4, 14))
    assert len(there) == KEPT_CHECKPOINTS
    assert [p.stem for p in run.best_folder.glob("*.index")] == ["model-13"]
    # Also those of before are deleted in time when another process goes on.
    again, _ = checkpoints(run)
    again.restore_latest()
    again.save(14)
    there = {int(p.stem.split("-")[1]) for p in run.checkpoint_folder.glob("*.index")}
    assert there == set(range(5, 15))


def test_weights_that_are_not_finite_are_not_saved(run):
    saved, of = checkpoints(run)
    saved.save(1)
    of.trainable_variables[0].assign(of.trainable_variables[0] * float("nan"))
    with pytest.raises(TrainingDiverged, match="iteration 2 is not finite"):
        saved.save(2)
    again, other = checkpoints(run)
    assert again.restore_latest() == 1
    assert all(np.all(tf.math.is_finite(v)) for v in other.trainable_variables)


@pytest.mark.parametrize("arguments", [("--use_T",), ("--meta_sgd",), ("--baseline=oracle",)])
def test_checkpoint_of_another_architecture_is_refused(run, arguments):
    for saved, restored in (((), arguments), (arguments, ())):
        checkpoints(run, *saved)[0].save(1)
        with pytest.raises(UsageError, match="corrupt or of another architecture") as caught:
            checkpoints(run, *restored)[0].restore_latest()
        assert "\n" not in str(caught.value)


def save_on_and_on(run, ready):
    """Save weights that are all equal to the iteration, until killed."""
    saved, of = checkpoints(run)
    iteration = saved.restore_latest()
    ready.send((iteration, holds(of, iteration) or iteration == 0))
    while True:
        iteration += 1
        fill(of, iteration)
        saved.save(iteration, validation=float(iteration))
        ready.send((iteration, True))


def test_killed_while_saving_the_last_complete_checkpoint_is_in_force(run):
    processes = multiprocessing.get_context("spawn")
    saved = rounds = 0
    while rounds < 4 or (saved < 2 and rounds < 20):  # more where the machine is busy
        rounds += 1
        here, there = processes.Pipe(duplex=False)
        process = processes.Process(target=save_on_and_on, args=(run, there))
        process.start()
        there.close()
        restored, consistent = here.recv()
        assert consistent, "weights and iteration of different checkpoints"
        assert restored >= saved
        time.sleep(random.uniform(0.05, 0.3))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        try:
            while True:
                saved = here.recv()[0]
        except EOFError:
            pass
        # In this process: what the killed one left.
        after, of = checkpoints(run)
        restored = after.restore_latest()
        assert restored in (saved, saved + 1)
        if restored:
            assert holds(of, restored)
            best = after.restore_best()
            assert best in (saved, saved + 1)
            assert holds(of, best)
    assert saved > 1
