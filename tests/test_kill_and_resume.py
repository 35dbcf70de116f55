"""A run that is killed, again and again, ends as if it had never been disturbed."""

import random
import re
import signal
import time

import program
import pytest

SINUSOID = (
    "--use_T",
    "--use_M",
    "--update_batch_size=5",
    "--metatrain_iterations=1500",
    "--num_test_tasks=20",
)
SINUSOID_EPOCH = 50
# What TensorFlow itself says when it starts, at its lowest verbosity.
STARTUP_LINES = re.compile(r"WARNING: All log messages before absl::|I0000 .*\] ")


def finish(process):
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return output, errors


def shortly_after(condition, longest):
    """Make a condition that holds a random time, at most `longest` seconds, after another."""
    delay = random.uniform(0, longest)
    since = []

    def holds():
        if not since and condition():
            since.append(time.monotonic())
        return bool(since) and time.monotonic() >= since[0] + delay

    return holds


class Disturbed:
    """A run that is stopped and gone on with by the same command.

    Args:
        folder: of the run, below the log folder that `command` names.
        command: the flags.
        per_epoch: iterations between checkpoints.
    """

    def __init__(self, folder, command, per_epoch):
        self.folder = folder
        self.command = command
        self.per_epoch = per_epoch

    def epochs_done(self):
        return program.iterations_saved(self.folder) // self.per_epoch

    def stop(self, number, condition):
        process = program.start(*self.command, per_epoch=self.per_epoch)
        written = program.stop_when(process, condition, number)
        return process.returncode, *written

    def stop_after_epochs(self, number, epochs):
        """Stop at a random moment after so many more epochs."""
        target = self.epochs_done() + epochs
        return self.stop(number, shortly_after(lambda: self.epochs_done() >= target, 0.1))

    def stop_while_saving(self, number, below, epochs):
        """Stop as soon as files of a checkpoint some epochs ahead appear."""
        name = f"model-{(self.epochs_done() + epochs) * self.per_epoch}"
        folder = self.folder / below
        return self.stop(number, lambda: any(folder.glob(f"{name}[._]*")))

    def finish(self):
        return finish(program.start(*self.command, per_epoch=self.per_epoch))


def run_of(name, logdir, command, per_epoch):
    return Disturbed(logdir / name, (*command, f"--logdir={logdir}"), per_epoch)


def sinusoid(logdir):
    return run_of("sinusoid-5shot-mtnet-seed0", logdir, SINUSOID, SINUSOID_EPOCH)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """A run that is left alone, and its process, which may not be done yet."""
    run = sinusoid(tmp_path_factory.mktemp("undisturbed"))
    process = program.start(*run.command, per_epoch=run.per_epoch)
    yield run, process
    process.kill()


@pytest.fixture(scope="module")
def killed(tmp_path_factory, reference):
    run = sinusoid(tmp_path_factory.mktemp("killed"))
    codes = [
        run.stop_after_epochs(signal.SIGKILL, 2)[0],
        run.stop_while_saving(signal.SIGKILL, "checkpoints", 3)[0],
    ]
    assert codes == [-signal.SIGKILL] * 2
    assert run.epochs_done() < 30, "killed too late to show anything"
    run.finish()
    return run


@pytest.fixture(scope="module")
def undisturbed(killed, reference):
    """The finished run that was left alone, and what it wrote on stderr."""
    run, process = reference
    return run, finish(process)[1]


def test_killed_run_ends_with_the_same_weights_and_optimizer_state(killed, undisturbed):
    expected = undisturbed[0]
    program.assert_same_checkpoint(
        program.newest(killed.folder / "checkpoints"),
        program.newest(expected.folder / "checkpoints"),
    )


def test_killed_run_has_the_same_log_and_evaluation(killed, undisturbed):
    expected = undisturbed[0]
    log = (expected.folder / "log.csv").read_bytes()
    assert log.count(b"\n") == 1 + 1500 // SINUSOID_EPOCH
    assert (killed.folder / "log.csv").read_bytes() == log
    name = "evaluation/test-5shot.csv"
    assert (killed.folder / name).read_bytes() == (expected.folder / name).read_bytes()


def test_a_quiet_run_writes_nothing_but_tensorflows_startup_on_stderr(undisturbed):
    lines = [line for line in undisturbed[1].splitlines() if not STARTUP_LINES.match(line)]
    assert lines == []


def test_signals_save_and_say_how_to_go_on(tmp_path, undisturbed):
    interrupted = sinusoid(tmp_path)
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        before = program.iterations_saved(interrupted.folder)
        returned, _, errors = interrupted.stop_after_epochs(number, 2)
        done = program.iterations_saved(interrupted.folder)
        assert returned == code, errors
        assert "Traceback" not in errors
        assert errors.splitlines()[-1] == (
            f"stopped after iteration {done}, which is saved: the same command goes on from there"
        )
        assert before < done < 1500
    interrupted.finish()
    program.assert_same_checkpoint(
        program.newest(interrupted.folder / "checkpoints"),
        program.newest(undisturbed[0].folder / "checkpoints"),
        saves=False,
    )
    log = (interrupted.folder / "log.csv").read_bytes()
    assert log == (undisturbed[0].folder / "log.csv").read_bytes()


def test_killed_omniglot_run_ends_as_an_undisturbed_one(tmp_path, omniglot_path, omniglot_cache):
    command = (
        "--datasource=omniglot",
        f"--data_path={omniglot_path}",
        f"--cache_dir={omniglot_cache}",
        "--use_T",
        "--use_M",
        "--num_filters=4",
        "--meta_batch_size=2",
        "--metatrain_iterations=64",
        "--num_test_tasks=20",
    )
    name = "omniglot-5way-1shot-mtnet-seed0"
    expected = run_of(name, tmp_path / "undisturbed", command, 4)
    process = program.start(*expected.command, per_epoch=4)

    killed = run_of(name, tmp_path / "killed", command, 4)
    codes = [
        killed.stop_while_saving(signal.SIGKILL, "best", 1)[0],
        killed.stop_after_epochs(signal.SIGKILL, 3)[0],
    ]
    assert codes == [-signal.SIGKILL] * 2
    assert killed.epochs_done() < 16, "killed too late to show anything"
    killed.finish()
    finish(process)

    for below in ("checkpoints", "best"):
        here, there = (program.newest(run.folder / below) for run in (killed, expected))
        assert here.rsplit("-", 1)[1] == there.rsplit("-", 1)[1]
        program.assert_same_checkpoint(here, there)
    for file in ("log.csv", "evaluation/test-1shot.csv"):
        assert (killed.folder / file).read_bytes() == (expected.folder / file).read_bytes()
