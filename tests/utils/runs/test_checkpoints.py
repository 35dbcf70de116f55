import contextlib
import itertools
import multiprocessing
import os
import random
import shutil
import signal
import sys

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from disturbed import event_of

from utils.command.flags import config_from_flags, define, parse
from utils.errors import TrainingDiverged, UsageError
from utils.runs.assembly import build_learner, build_source
from utils.runs.checkpoint_files import CheckpointFolder
from utils.runs.checkpoints import KEPT_CHECKPOINTS, Checkpoints
from utils.runs.folder import Run


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


def test_a_folder_whose_name_is_a_pattern(tmp_path):
    run = Run.named_by(config(), str(tmp_path / "runs [1]"))
    first, of = checkpoints(run)
    fill(of, 3)
    first.save(7)
    (run.checkpoint_folder / "checkpoint").unlink()  # so that the files are looked through
    second, other = checkpoints(run)
    assert second.restore_latest() == 7
    assert holds(other, 3)


def test_the_checkpoint_to_evaluate_is_the_one_that_was_chosen(run):
    saved, of = checkpoints(run)
    with pytest.raises(UsageError, match=f"{run.folder} has no checkpoint yet"):
        saved.restore("last")
    for iteration, validation in ((3, 0.1), (5, 0.9), (7, 0.5)):
        fill(of, iteration)
        saved.save(iteration, validation)
    for chosen, name, iteration in (("last", "last", 7), ("best", "best", 5), (3, "iteration3", 3)):
        assert saved.restore(chosen) == (name, iteration)
        assert holds(of, iteration)
    with pytest.raises(UsageError, match=r"--test_iter=4: no such checkpoint .* 3, 5, 7"):
        saved.restore(4)


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


def save_on_and_on(run, ready, kill_at):
    """Save weights that are all equal to the iteration, until killed at an event (`disturbed`)."""
    saved, of = checkpoints(run)
    iteration = saved.restore_latest()
    ready.send((iteration, holds(of, iteration) or iteration == 0))
    events = itertools.count(1)

    def happened(event, values):
        if event_of(event, values, str(run.folder)) and next(events) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(happened)
    while True:
        iteration += 1
        fill(of, iteration)
        saved.save(iteration, validation=float(iteration))
        ready.send((iteration, True))


def test_killed_while_saving_the_last_complete_checkpoint_is_in_force(run):
    processes = multiprocessing.get_context("spawn")
    saved = 0
    for kill_at in random.Random(0).sample(range(60, 120), 2):
        here, there = processes.Pipe(duplex=False)
        process = processes.Process(target=save_on_and_on, args=(run, there, kill_at))
        process.start()
        there.close()
        restored, consistent = here.recv()
        assert consistent, "weights and iteration of different checkpoints"
        assert restored >= saved
        saved = restored
        with contextlib.suppress(EOFError):
            while True:
                saved = here.recv()[0]
        process.join()
        assert process.exitcode == -signal.SIGKILL
        # In this process: what the killed one left.
        after, of = checkpoints(run)
        assert after.restore_latest() in (saved, saved + 1)
        assert holds(of, after.restore_latest())
        best = after.restore_best()
        assert best in (saved, saved + 1)
        assert holds(of, best)
    assert saved >= 4


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A run with the checkpoints of two iterations, whose weights are their numbers."""
    run = Run.named_by(config(), str(tmp_path_factory.mktemp("saved")))
    first, of = checkpoints(run)
    for iteration in (9, 10):
        fill(of, iteration)
        first.save(iteration)
    return run, of


@pytest.fixture
def copied(saved, tmp_path):
    """A copy of it, and what reads it."""
    folder = shutil.copytree(saved[0].folder, tmp_path / "run")
    return Run(folder, saved[0].config), saved[1]


def restored(run, of):
    iteration = Checkpoints(run, of).restore_latest()
    assert holds(of, iteration)
    return iteration


def without_checksums(run):
    """As version 0.2.0 wrote it."""
    for file in run.checkpoint_folder.glob("*.sha256"):
        file.unlink()
    pointer = run.checkpoint_folder / "checkpoint"
    *lines, checksum = pointer.read_text().splitlines()
    assert checksum.startswith("# sha256 ")
    pointer.write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize(
    "name", ["model-10.index", "model-10.data-00000-of-00001", "model-10.sha256", "checkpoint"]
)
def test_no_turned_byte_gives_other_weights(copied, name, earlier):
    run, of = copied
    if earlier:
        without_checksums(run)
        if name == "model-10.sha256":
            return
    file = run.checkpoint_folder / name
    whole = file.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 40)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x11]) + whole[place + 1 :])
        fill(of, 0)
        with contextlib.suppress(UsageError):
            assert restored(run, of) == 10
            # TensorFlow's own checksums leave out what it does not read.
            assert earlier


def test_a_pointer_to_a_number_without_end_is_one_line(run):
    run.checkpoint_folder.mkdir(parents=True)
    line = f'model_checkpoint_path: "model-{"9" * 5000}"\n'
    (run.checkpoint_folder / "checkpoint").write_text(line)
    with pytest.raises(UsageError, match="checkpoint, which names the last checkpoint, is corrupt"):
        CheckpointFolder(run.checkpoint_folder, KEPT_CHECKPOINTS)


def test_a_pointer_that_cannot_be_read_is_named_with_the_reason(run):
    (run.checkpoint_folder / "checkpoint").mkdir(parents=True)
    with pytest.raises(UsageError, match="checkpoint is not a file; it names the last checkpoint"):
        CheckpointFolder(run.checkpoint_folder, KEPT_CHECKPOINTS)


def test_a_checkpoint_that_may_not_be_read_is_not_called_corrupt(run, monkeypatch):
    saved, _ = checkpoints(run)
    saved.save(3)

    monkeypatch.setattr(os, "access", lambda path, mode: path.suffix != ".index")
    said = r"cannot read .*model-3\.index: Permission denied$"
    with pytest.raises(UsageError, match=f"model-3 is not to be read: {said}"):
        saved.restore_latest()
    (run.checkpoint_folder / "checkpoint").unlink()
    with pytest.raises(UsageError, match=f"^{said}"):
        checkpoints(run)[0].restore_latest()


def test_files_of_other_names_are_no_checkpoints(copied):
    run, of = copied
    for file in list(run.checkpoint_folder.glob("model-10.*")):
        shutil.copy(file, file.with_name(file.name.replace("model-10", "model-20 (copy)")))
    assert restored(run, of) == 10
    (run.checkpoint_folder / "checkpoint").unlink()
    assert restored(run, of) == 10


def test_a_checkpoint_under_another_number_is_seen(copied):
    run, of = copied
    without_checksums(run)
    for file in list(run.checkpoint_folder.glob("model-9.*")):
        shutil.copy(file, file.with_name(file.name.replace("model-9", "model-10")))
    with pytest.raises(UsageError, match="model-10 is corrupt: it is that of iteration 9"):
        restored(run, of)


def test_tensorflow_reads_the_pointer(copied):
    run, _ = copied
    state = tf.train.get_checkpoint_state(str(run.checkpoint_folder))
    assert [name.rsplit("/", 1)[1] for name in state.all_model_checkpoint_paths] == [
        "model-9",
        "model-10",
    ]
    assert tf.train.latest_checkpoint(str(run.checkpoint_folder)).endswith("model-10")
