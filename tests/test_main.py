"""The program from its command line: training, evaluation, export, bad input."""

import contextlib
import csv
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import program
import pytest
import tensorflow as tf
from PIL import Image
from scipy import stats

import main
from data_generators import Sinusoid
from utils.runs.checkpoints import Checkpoints

SINUSOID = ("--use_T", "--use_M", "--update_batch_size=5", "--num_test_tasks=30")
NAME = "sinusoid-5shot-mtnet-seed0"
# A program that knows nothing of ours: its folder and its path are those of TensorFlow alone.
STRANGER = """
import sys
import numpy as np
import tensorflow as tf
try:
    import maml_tnet
except ImportError:
    pass
else:
    sys.exit("the package can be imported")
given = np.load(sys.argv[2])
adapt_and_predict = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
for _ in range(2):
    answer = adapt_and_predict(**{k: tf.constant(given[k]) for k in given.files})
np.save(sys.argv[3], answer["predictions"].numpy())
"""


def refused(capsys, *arguments):
    """Run the program on bad input; return the one line it must say."""
    capsys.readouterr()
    assert program.run(*arguments) == 2
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    *earlier, last = errors.splitlines()
    assert last.startswith("error: "), errors
    assert not any(line.startswith("error: ") for line in earlier)
    return last.removeprefix("error: ")


def cells(printed):
    """The rows of the printed table that are inner steps: [mean, interval] of every column."""
    rows = [re.findall(r"\| (?:\d+(?: \*)?) +\|(.*)\|", line) for line in printed.splitlines()]
    return [
        [[float(x) for x in cell.split("±")] for cell in row[0].split("|")] for row in rows if row
    ]


def report(folder, name):
    """An evaluation's JSON file."""
    return json.loads((folder / "evaluation" / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a trained sinusoid MT-net; not to be changed."""
    logdir = tmp_path_factory.mktemp("sinusoid")
    assert program.run(*SINUSOID, "--metatrain_iterations=20", f"--logdir={logdir}") == 0
    return logdir / NAME


@pytest.fixture
def copy(trained, tmp_path):
    """A copy of it, and the flag that names its log folder."""
    folder = shutil.copytree(trained, tmp_path / NAME)
    return folder, f"--logdir={tmp_path}"


def test_training_leaves_every_file_that_docs_runs_lists(trained):
    files = {str(path.relative_to(trained)) for path in trained.rglob("*") if path.is_file()}
    assert {
        "config.json",
        "environment.json",
        "log.csv",
        "log.json",
        "checkpoints/checkpoint",
        "checkpoints/model-20.index",
        "evaluation/test-5shot.csv",
        "evaluation/test-5shot.json",
        "evaluation/test.png",
        "evaluation/fits.png",
        "saved_model/saved_model.pb",
    } <= files
    for plot in trained.glob("evaluation/*.png"):
        with Image.open(plot) as image:
            image.verify()


def test_environment_names_command_versions_and_commit(trained):
    (start,) = json.loads((trained / "environment.json").read_text())
    assert start["tensorflow"] == tf.__version__
    assert start["numpy"] == np.__version__
    assert start["python"] == ".".join(map(str, sys.version_info[:3]))
    assert start["keras"].split(".")[0] == ("2" if tf.__version__.startswith("2.15") else "3")
    assert set(start) == {
        "time",
        "command",
        "python",
        "tensorflow",
        "keras",
        "numpy",
        "git_commit",
        "machine",
        "iteration",
        "sha256",
    }
    assert start["iteration"] == 0


def test_same_command_same_weights_other_seed_other_weights(trained, tmp_path):
    def weights(*arguments):
        flags = (*SINUSOID, "--metatrain_iterations=20", *arguments)
        assert program.run(*flags, only_train=True) == 0
        (folder,) = (p for p in tmp_path.glob("*/checkpoints") if p != again)
        return folder

    again = None
    again = weights(f"--logdir={tmp_path}")
    program.assert_same_checkpoint(program.newest(again), program.newest(trained / "checkpoints"))

    other = program.tensors(program.newest(weights(f"--logdir={tmp_path}", "--seed=1")))
    first = program.tensors(program.newest(again))
    kernels = [n for n in first if n.startswith("parameters") and np.any(first[n])]
    assert kernels
    assert all(np.any(first[n] != other[n]) for n in kernels)


def test_same_command_again_trains_no_further(copy, capsys):
    folder, logdir = copy
    before = program.newest(folder / "checkpoints"), program.snapshot(folder / "checkpoints")
    assert program.run(*SINUSOID, "--metatrain_iterations=20", logdir) == 0
    assert "is trained: 20 iterations" in capsys.readouterr().out
    assert (
        program.newest(folder / "checkpoints"),
        program.snapshot(folder / "checkpoints"),
    ) == before
    starts = json.loads((folder / "environment.json").read_text())
    assert [start["iteration"] for start in starts] == [0, 20]


def test_prolonged_run_equals_one_that_was_long_from_the_start(trained, tmp_path):
    short = shutil.copytree(trained, tmp_path / NAME)
    program.rewind(short, 10)
    config = main.Config.read(short / "config.json")
    replace(config, metatrain_iterations=10).write(short / "config.json")
    arguments = (*SINUSOID, "--metatrain_iterations=20", f"--logdir={tmp_path}")
    assert program.run(*arguments, only_train=True) == 0
    program.assert_same_checkpoint(
        program.newest(short / "checkpoints"), program.newest(trained / "checkpoints")
    )
    assert (short / "log.csv").read_bytes() == (trained / "log.csv").read_bytes()
    assert json.loads((short / "config.json").read_text())["metatrain_iterations"] == 20


@pytest.mark.parametrize(
    ("arguments", "difference"),
    [
        (("--dim_hidden=30",), "dim_hidden is 40 there, 30 here"),
        (
            ("--meta_lr=0.01", "--temp=2"),
            "meta_lr is 0.001 there, 0.01 here; temp is ",
        ),
        (("--num_updates=2", "--notrain"), "num_updates is 1 there, 2 here"),
    ],
)
def test_run_with_other_settings_is_refused_and_left_alone(copy, capsys, arguments, difference):
    folder, logdir = copy
    before = program.snapshot(folder)
    line = refused(capsys, *SINUSOID, "--metatrain_iterations=20", logdir, *arguments)
    assert difference in line
    assert str(folder) in line
    assert program.snapshot(folder) == before


def test_noresume_moves_the_old_run_aside(copy, capsys):
    folder, logdir = copy
    before = program.snapshot(folder)
    # Of another width, which only a new run can have.
    arguments = (*SINUSOID, "--metatrain_iterations=5", "--dim_hidden=3", "--nolog", logdir)
    assert program.run(*arguments, "--noresume", only_train=True) == 0
    old = folder.with_name(f"{NAME}.old1")
    assert f"moved the earlier run to {old}" in capsys.readouterr().out
    assert list(program.snapshot(old).values()) == list(before.values())
    assert program.iterations_saved(folder) == 5
    assert not (folder / "log.csv").exists()
    assert not (folder / "tensorboard").exists()


def test_printed_table_csv_and_json_agree(copy, capsys):
    folder, logdir = copy
    arguments = (*SINUSOID, logdir, "--notrain", "--test_set")
    assert program.run(*arguments, evaluated_steps=10) == 0
    output = capsys.readouterr().out
    assert f"evaluating {folder} after 20 iterations" in output
    with open(folder / "evaluation" / "test-5shot.csv", newline="") as file:
        mean, std, ci95 = ([float(x) for x in row[1:]] for row in list(csv.reader(file))[1:])
    per_task = np.array(report(folder, "test-5shot")["loss"]["per_task"])
    assert per_task.shape == (30, 11)
    np.testing.assert_allclose(mean, per_task.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(std, per_task.std(axis=0), rtol=1e-6)
    np.testing.assert_allclose(ci95, stats.t.ppf(0.975, 29) * stats.sem(per_task), rtol=1e-6)
    printed = np.array(cells(output))
    assert printed.shape == (11, 1, 2)
    np.testing.assert_allclose(printed[:, 0], np.stack([mean, ci95], axis=1), atol=5.1e-4)


def test_evaluation_in_training_and_afterwards_agree_and_splits_do_not(copy):
    folder, logdir = copy
    in_training = report(folder, "test-5shot")["loss"]["per_task"]
    assert program.run(*SINUSOID, logdir, "--notrain", "--test_set") == 0
    assert report(folder, "test-5shot")["loss"]["per_task"] == in_training
    assert program.run(*SINUSOID, logdir, "--notrain") == 0
    validation = np.array(report(folder, "val-5shot")["loss"]["per_task"])
    assert report(folder, "val-5shot")["settings"]["split"] == "val"
    assert np.all(validation[:, 0] != np.array(in_training)[:, 0])


def test_mask_mode_thresholds_and_sample_draws(copy):
    folder, logdir = copy
    losses = []
    for mask in ("mode", "mode", "sample"):
        assert program.run(*SINUSOID, logdir, "--notrain", f"--mask={mask}") == 0
        name = "val-5shot-mode" if mask == "mode" else "val-5shot"
        losses.append(np.array(report(folder, name)["loss"]["per_task"]))
    np.testing.assert_array_equal(losses[0], losses[1])
    # Before adaptation no mask plays a part.
    np.testing.assert_allclose(losses[0][:, 0], losses[2][:, 0], rtol=1e-5)
    assert np.any(np.abs(losses[0][:, 2] - losses[2][:, 2]) > 1e-4)


def test_run_is_evaluated_with_another_shot_and_step_size(copy):
    folder, logdir = copy
    flags = ("--use_T", "--use_M", "--num_test_tasks=30", logdir, "--notrain")
    stated = ("--train_update_batch_size=5", "--train_update_lr=0.01")
    assert program.run(*flags, *stated, "--update_batch_size=7", "--update_lr=0.002") == 0
    other = report(folder, "val-7shot-alpha0.002")
    assert (other["settings"]["shot"], other["settings"]["update_lr"]) == (7, 0.002)
    assert other["configuration"]["update_batch_size"] == 5
    assert program.run(*flags, *stated, "--update_batch_size=7") == 0
    trained_alpha = np.array(report(folder, "val-7shot")["loss"]["per_task"])
    changes = [
        np.abs(losses[:, 1] - losses[:, 0]).mean()
        for losses in (np.array(other["loss"]["per_task"]), trained_alpha)
    ]
    # To first order a step a fifth as long changes the loss a fifth as much.
    assert changes[0] == pytest.approx(changes[1] / 5, rel=0.1)


def test_earlier_checkpoint_is_evaluated_as_it_was(copy, capsys):
    folder, logdir = copy
    assert program.run(*SINUSOID, logdir, "--notrain", "--test_iter=10") == 0
    assert "after 10 iterations" in capsys.readouterr().out
    then = report(folder, "val-5shot-iteration10")
    assert then["iteration"] == 10
    assert not (folder / "evaluation/val-5shot.json").exists()
    program.rewind(folder, 10)
    assert program.run(*SINUSOID, logdir, "--notrain") == 0
    last = report(folder, "val-5shot")
    assert last["iteration"] == 10
    assert last["loss"]["per_task"] == then["loss"]["per_task"]
    line = refused(capsys, *SINUSOID, logdir, "--notrain", "--test_iter=7")
    assert "--test_iter=7" in line
    assert line.endswith("there are 5, 10")


def test_export_answers_the_same_in_a_program_without_the_package(copy, tmp_path):
    folder, logdir = copy
    target = tmp_path / "elsewhere" / "model"
    assert program.run(*SINUSOID, logdir, "--notrain", f"--export_dir={target}") == 0

    # Other numbers of tasks, shots and queries than the export was checked with.
    episode = Sinusoid().held_out("test", tf.range(3), shot=8, query=13)
    given = {name: getattr(episode, name) for name in ("support_x", "support_y", "query_x")}
    np.savez(tmp_path / "given.npz", **{name: x.numpy() for name, x in given.items()})
    (tmp_path / "stranger.py").write_text(STRANGER)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    subprocess.run(
        [sys.executable, "-I", "stranger.py", target, "given.npz", "answers.npy"],
        cwd=tmp_path,
        env=environment | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        check=True,
    )

    answers = np.load(tmp_path / "answers.npy")
    assert answers.shape == (3, 13, 1)
    run, learner = restored(folder)
    expected = learner.adapt_and_predict(**given, num_updates=run.config.num_updates)
    np.testing.assert_allclose(answers, expected, rtol=0, atol=1e-6)
    unadapted = learner.adapt_and_predict(**given, num_updates=0)
    assert np.max(np.abs(answers - unadapted)) > 1e-4


def restored(folder):
    """The run of a folder and its learner, with the weights of the newest checkpoint."""
    config = main.Config.read(folder / "config.json")
    run = main.Run(folder, config)
    learner = main.build_learner(config, main.build_source(config, None, ""))
    assert Checkpoints(run, learner).restore_latest() > 0
    return run, learner


def test_diverging_run_stops_with_the_iteration_and_can_go_on(
    trained, tmp_path, capsys, monkeypatch
):
    arguments = (*SINUSOID, "--metatrain_iterations=20", f"--logdir={tmp_path}")
    episodes = Sinusoid.episodes

    def poisoned(self, split, seed, iteration, **sizes):
        episode = episodes(self, split, seed, iteration, **sizes)
        bad = tf.where(tf.cast(iteration, tf.int32) >= 12, float("nan"), 0.0)
        return episode._replace(query_y=episode.query_y + bad)

    with monkeypatch.context() as patch:
        patch.setattr(Sinusoid, "episodes", poisoned)
        line = refused(capsys, *arguments)
    assert "the meta-loss of iteration 12 is not finite" in line
    assert program.iterations_saved(tmp_path / NAME) == 10
    assert program.run(*arguments, only_train=True) == 0
    program.assert_same_checkpoint(
        program.newest(tmp_path / NAME / "checkpoints"), program.newest(trained / "checkpoints")
    )


def test_diverging_first_iteration_saves_nothing(tmp_path, capsys):
    line = refused(
        capsys, *SINUSOID, "--metatrain_iterations=20", f"--logdir={tmp_path}", "--update_lr=1e30"
    )
    assert "iteration 0 is not finite" in line
    assert program.iterations_saved(tmp_path / NAME) == 0


DAMAGE = {
    "data cut off": ("model-20.data-00000-of-00001", lambda b: b[: len(b) // 2]),
    "data altered": ("model-20.data-00000-of-00001", lambda b: bytes(x ^ 255 for x in b)),
    "data missing": ("model-20.data-00000-of-00001", None),
    "index cut off": ("model-20.index", lambda b: b[: len(b) // 2]),
    "index empty": ("model-20.index", lambda b: b""),
    "index missing": ("model-20.index", None),
    "pointer garbled": ("checkpoint", lambda b: b"\xff\x00garbage{"),
    "pointer empty": ("checkpoint", lambda b: b""),
    "pointer cut off": ("checkpoint", lambda b: b[:15]),
    "pointer to nowhere": ("checkpoint", lambda b: b.replace(b"model-20", b"model-21")),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("mode", ["--train", "--notrain"])
def test_corrupt_checkpoint_is_one_line_and_left_as_it_is(copy, capsys, damage, mode):
    folder, logdir = copy
    name, change = DAMAGE[damage]
    file = folder / "checkpoints" / name
    if change is None:
        file.unlink()
    else:
        file.write_bytes(change(file.read_bytes()))
    before = program.snapshot(folder / "checkpoints")
    line = refused(capsys, *SINUSOID, "--metatrain_iterations=20", logdir, mode)
    assert str(folder / "checkpoints") in line
    assert program.snapshot(folder / "checkpoints") == before


@pytest.mark.parametrize("half_written", [False, True])
def test_run_killed_before_its_first_pointer_goes_on(trained, tmp_path, half_written):
    folder = shutil.copytree(trained, tmp_path / NAME)
    program.rewind(folder, 5)
    (folder / "checkpoints" / "checkpoint").unlink()
    if half_written:
        data = folder / "checkpoints" / "model-5.data-00000-of-00001"
        data.write_bytes(data.read_bytes()[:-40000])
    arguments = (*SINUSOID, "--metatrain_iterations=20", f"--logdir={tmp_path}")
    assert program.run(*arguments, only_train=True) == 0
    program.assert_same_checkpoint(
        program.newest(folder / "checkpoints"), program.newest(trained / "checkpoints")
    )
    assert (folder / "log.csv").read_bytes() == (trained / "log.csv").read_bytes()


@contextlib.contextmanager
def full_disk(limit):
    """Let no file grow beyond a number of bytes: writing fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_full_disk_while_saving_keeps_the_last_checkpoint(trained, tmp_path, capsys, monkeypatch):
    arguments = (*SINUSOID, "--metatrain_iterations=20", f"--logdir={tmp_path}")
    save = Checkpoints.save

    def save_on_full_disk(self, iteration, *rest):
        with full_disk(10_000 if iteration == 15 else resource.RLIM_INFINITY):
            save(self, iteration, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", save_on_full_disk)
        line = refused(capsys, *arguments)
    folder = tmp_path / NAME / "checkpoints"
    assert f"cannot save the checkpoint of iteration 15 in {folder}: " in line
    assert line.endswith(f"the last good one is {folder}/model-10")
    assert not list(folder.glob("model-15*"))
    assert program.run(*arguments, only_train=True) == 0
    program.assert_same_checkpoint(program.newest(folder), program.newest(trained / "checkpoints"))


@pytest.mark.parametrize("limit", [0, 2_000, 20_000])
def test_full_disk_while_writing_results_is_one_line(copy, capsys, limit):
    folder, logdir = copy

    def kept():
        return [program.snapshot(folder / below) for below in ("saved_model", "checkpoints")]

    before = kept()
    with full_disk(limit):
        refused(capsys, *SINUSOID, logdir, "--notrain", f"--export_dir={folder}/saved_model")
    assert kept() == before
    assert not list(folder.rglob("*.part"))
    assert not list(folder.glob(".saved_model*"))


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of so many kilobytes; only root can."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(kilobytes):
        command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, check=False).returncode:
            pytest.skip("a file system cannot be mounted here")
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


# From no room for the configuration, over the logs, to no room for the pointer or a checkpoint.
@pytest.mark.parametrize("kilobytes", [4, 8, 16, 96, 140])
def test_small_disk_is_one_line_and_does_not_block_a_later_run(small_disk, capsys, kilobytes):
    disk = small_disk(kilobytes)
    arguments = (*SINUSOID, "--metatrain_iterations=20", f"--logdir={disk}")
    line = refused(capsys, *arguments)
    assert "No space left on device" in line
    assert str(disk) in line
    subprocess.run(["mount", "-o", "remount,size=10m", str(disk)], check=True)
    assert program.run(*arguments, only_train=True) == 0
    assert program.iterations_saved(disk / NAME) == 20


def test_a_saved_model_that_is_not_replaced_is_said_before_training(tmp_path, capsys):
    (tmp_path / NAME / "saved_model").mkdir(parents=True)
    (tmp_path / NAME / "saved_model" / "mine.txt").touch()
    line = refused(capsys, *SINUSOID, f"--logdir={tmp_path}")
    assert f"{NAME}/saved_model exists and is not a SavedModel: move it away, or name" in line
    assert [path.name for path in (tmp_path / NAME).iterdir()] == ["saved_model"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="of Linux")
def test_a_link_to_where_no_saved_model_can_be_is_said_before_training(tmp_path, capsys):
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "saved_model").symlink_to("/proc/model")
    line = refused(capsys, *SINUSOID, f"--logdir={tmp_path}")
    assert line.endswith(f"{NAME}/saved_model cannot be written: nothing can be made in /proc")


@pytest.mark.parametrize("tampered", [{"dim_hidden": 41}, {"use_T": False}, {"meta_sgd": True}])
def test_checkpoint_of_another_architecture_is_one_line(copy, capsys, tampered):
    folder, logdir = copy
    config = main.Config.read(folder / "config.json").to_dict() | tampered
    claimed = main.Config.from_dict(config, "")
    folder = folder.rename(folder.with_name(claimed.run_name))
    claimed.write(folder / "config.json")
    arguments = [f"--{k}={v}" for k, v in tampered.items()]
    line = refused(capsys, *SINUSOID, *arguments, logdir, "--notrain")
    assert "is corrupt or of another architecture" in line


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"\xff\xfe", b'{"datasource": "sinusoid"}'], ids=repr
)
def test_corrupt_config_is_one_line(copy, capsys, text):
    folder, logdir = copy
    (folder / "config.json").write_bytes(text)
    assert "config.json" in refused(capsys, *SINUSOID, logdir, "--notrain")


BAD_INPUT = [
    (("--datasource=cifar",), "--datasource must be one of sinusoid, polynomial, omniglot, mini"),
    (("--meta_batch_size=0",), "--meta_batch_size must be at least 1, got 0"),
    (("--num_updates=-1",), "--num_updates must be at least 1, got -1"),
    (("--update_lr=nan",), "--update_lr must be finite, got nan"),
    (("--meta_lr=0",), "--meta_lr must be positive, got 0"),
    (("--num_test_tasks=0",), "--num_test_tasks must be at least 1, got 0"),
    (("--metatrain_iterations=many",), "metatrain_iterations"),
    (("--mask=maybe",), "mask"),
    (("--test_iter=-2",), "test_iter"),
    (("--use_TT",), "--use_TT is no flag of this program; did you mean --use_T?"),
    (("--conv",), "--conv is retired"),
    (("sinusoid",), "unexpected argument 'sinusoid'"),
    (("--notrain",), "no run in "),
    (("--train_update_lr=0.1",), "--train_update_lr is for evaluation"),
    (("--meta_batch_size=100000000",), "--meta_batch_size must be at most 100000, got 100000000"),
    (("--num_test_tasks=9223372036854775808",), "--num_test_tasks must be at most 1000000, got 92"),
    (("--metatrain_iterations=4294967296",), "--metatrain_iterations must be at most 2147483647"),
    (("--datasource=polynomial", "--poly_order=2147483647"), "--poly_order must be at most 100, "),
    (("--datasource=images", "--image_size=30000"), "--image_size must be at most 4096, got 30000"),
    (("--meta_lr=1e39",), "--meta_lr must be at most 3.4e+38, got 1e+39"),
    (("--temp=1e300",), "--temp must be at most 3.4e+38, got 1e+300"),
    (("--seed=-1",), "--seed must be at least 0, got -1"),
    (("--dim_hidden=90000", "--use_T"), "of memory, and there are "),
    (("--flagfile=/bin/true",), "--flagfile=/bin/true is not a text in UTF-8"),
    (("--flagfile=/dev/zero",), "--flagfile=/dev/zero is not a file"),
    (("--cache_dir=~nobody-here/x",), "--cache_dir=~nobody-here/x: there is no home folder"),
    (("--data_path=",), "--data_path=: must name a file or folder, got an empty text"),
    (("--export_dir=.",), "--export_dir=. exists and is not a SavedModel: name a new folder"),
    (("--log_dir=x",), "--log_dir is no flag of this program; the folder of the runs is --logdir"),
    (("--only_check_args",), "--only_check_args is no flag of this program"),
    (("--logger_levels=x",), "--logger_levels is no flag of this program"),
    (("--noshowprefixforinfo",), "--noshowprefixforinfo is no flag of this program"),
    (("-v", "x"), "--v is no flag of this program"),
    (("--run=folder",), "--run=folder is for evaluation: add --notrain"),
    (("--notrain", "--run=folder"), "--run=folder and --logdir="),
    (("--datasource=miniimagenet",), "--data_path must name"),
    (("--datasource=omniglot", "--data_path=/nowhere"), "--data_path=/nowhere"),
    (("--datasource=miniimagenet", "--data_path=/nowhere"), "--data_path=/nowhere does not exist"),
]


@pytest.mark.parametrize(("arguments", "part"), BAD_INPUT)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, capsys, arguments, part):
    logdir = tmp_path / "logs"
    assert part in refused(capsys, *arguments, f"--logdir={logdir}", f"--cache_dir={tmp_path}/c")
    assert not logdir.exists()


def test_the_error_is_the_last_line_of_the_process_which_ends_with_code_2(copy):
    folder, logdir = copy
    config = main.Config.read(folder / "config.json")
    replace(config, dim_hidden=41).write(folder / "config.json")
    ended = subprocess.run(
        [sys.executable, "main.py", *SINUSOID, "--dim_hidden=41", logdir, "--notrain"],
        cwd=program.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "is corrupt or of another architecture" in ended.stderr.splitlines()[-1]
    assert ended.stderr.count("error: ") == 1
    assert "WARNING:tensorflow" not in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--num_classes=101",), "--num_classes must be between 1 and 100, the classes of "),
        (
            ("--num_classes=1101",),
            "--num_classes must be between 1 and 1100, the classes of ",
        ),
        (("--update_batch_size=15", "--query_batch_size=6"), "21 images of every class, but "),
        (("--num_train_classes=2000",), "--num_train_classes must be between 1 and 1100, or -1"),
    ],
)
def test_too_large_episodes_are_one_line(
    tmp_path, capsys, omniglot_path, omniglot_cache, arguments, part
):
    line = refused(
        capsys,
        "--datasource=omniglot",
        f"--data_path={omniglot_path}",
        f"--cache_dir={omniglot_cache}",
        f"--logdir={tmp_path}/logs",
        *arguments,
    )
    assert part in line
    assert not (tmp_path / "logs").exists()


def test_missing_data_without_network_is_one_line(tmp_path, capsys, monkeypatch):
    def no_network(*_, **__):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    line = refused(
        capsys, "--datasource=omniglot", f"--cache_dir={tmp_path}", f"--logdir={tmp_path}/logs"
    )
    assert "cannot download https://" in line
    assert "--data_path can name a folder with images_background.zip" in line
    assert list(tmp_path.iterdir()) == []


def test_truncated_zip_is_named(tmp_path, capsys, omniglot_path):
    for name in ("images_background.zip", "images_evaluation.zip"):
        (tmp_path / name).symlink_to(omniglot_path / name)
    cut = tmp_path / "images_evaluation.zip"
    content = cut.read_bytes()
    cut.unlink()
    cut.write_bytes(content[: len(content) // 2])
    line = refused(
        capsys,
        "--datasource=omniglot",
        f"--data_path={tmp_path}",
        f"--cache_dir={tmp_path}/cache",
        f"--logdir={tmp_path}/logs",
    )
    assert f"{cut} is not a complete zip file" in line


def test_truncated_image_is_named(tmp_path, capsys):
    random = np.random.RandomState(0)
    for number, split in enumerate(("train", "val", "test")):
        for label in range(2):
            folder = tmp_path / "data" / split / f"class{number}{label}"
            folder.mkdir(parents=True)
            for image in range(2):
                pixels = random.randint(0, 256, (84, 84, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{image}.jpg")
    cut = tmp_path / "data" / "val" / "class11" / "1.jpg"
    cut.write_bytes(cut.read_bytes()[:1000])
    line = refused(
        capsys,
        "--datasource=miniimagenet",
        f"--data_path={tmp_path}/data",
        f"--cache_dir={tmp_path}/cache",
        f"--logdir={tmp_path}/logs",
        "--num_classes=2",
        "--query_batch_size=1",
    )
    assert str(cut) in line
    assert not list(tmp_path.glob("cache/*"))


def test_log_folder_that_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    line = refused(capsys, *SINUSOID, f"--logdir={tmp_path}/file/logs")
    logs = f"{tmp_path}/file/logs"
    assert line == f"--logdir={logs}: cannot write {logs}/{NAME}: Not a directory"


@pytest.mark.parametrize("name", ["rectified_adam", "lookahead", "moving_average"])
def test_meta_optimizer_without_addons_is_one_line(tmp_path, capsys, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "tensorflow_addons", None)
    line = refused(capsys, *SINUSOID, f"--logdir={tmp_path}/logs", f"--meta_optimizer={name}")
    assert f"--meta_optimizer={name} cannot be used: TensorFlow Addons is not installed" in line
    assert "; take Python 3.11 with TensorFlow Addons, as a run that has this " in line
    assert not (tmp_path / "logs").exists()  # where it would stand in the way of other settings


@pytest.fixture(scope="module")
def omniglot(tmp_path_factory, omniglot_path, omniglot_cache):
    """The flags of a trained, tiny Omniglot MT-net, and its folder."""
    logdir = tmp_path_factory.mktemp("omniglot")
    flags = (
        "--datasource=omniglot",
        f"--data_path={omniglot_path}",
        f"--cache_dir={omniglot_cache}",
        "--use_T",
        "--use_M",
        "--num_filters=8",
        "--meta_batch_size=4",
        "--num_test_tasks=100",
        f"--logdir={logdir}",
    )
    assert program.run(*flags, "--metatrain_iterations=60", per_epoch=20) == 0
    return flags, Path(logdir) / "omniglot-5way-1shot-mtnet-seed0"


def test_images_are_trained_validated_evaluated_and_exported(omniglot):
    _, folder = omniglot
    with open(folder / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["iteration"]) for row in rows] == [20, 40, 60]
    best = max(rows, key=lambda row: float(row["val_accuracy"]))
    assert program.newest(folder / "best").endswith(f"model-{float(best['iteration']):.0f}")
    tests = report(folder, "test-1shot")
    assert np.shape(tests["accuracy"]["per_task"]) == (100, 3)
    # Inner steps lift it above chance, 0.2, where it is before adaptation.
    assert tests["accuracy"]["mean"][2] > 0.26 > tests["accuracy"]["mean"][0]
    assert (folder / "saved_model" / "saved_model.pb").is_file()


def test_best_checkpoint_is_evaluated_on_request(omniglot, capsys):
    flags, folder = omniglot
    with open(folder / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    best = max(rows, key=lambda row: float(row["val_accuracy"]))
    capsys.readouterr()
    assert program.run(*flags, "--notrain", "--test_set", "--test_best", "--mask=mode") == 0
    output = capsys.readouterr().out
    assert f"after {float(best['iteration']):.0f} iterations" in output
    tests = report(folder, "test-1shot-mode-best")
    assert tests["iteration"] == float(best["iteration"])
    percent = np.array(cells(output))[:, 0]
    np.testing.assert_allclose(percent[:, 0], 100 * np.array(tests["accuracy"]["mean"]), atol=0.006)


def coloured_folders(folder, classes, images=6):
    """Class folders of plain images, each class of another colour."""
    for number in range(classes):
        (folder / f"class{number}").mkdir(parents=True)
        for i in range(images):
            colour = (37 * number % 256, 91 * number % 256, 40 + i)
            Image.new("RGB", (20, 20), colour).save(folder / f"class{number}" / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def own_images(tmp_path_factory):
    """The folder of a run on a user's own images, and the images."""
    root = tmp_path_factory.mktemp("images")
    data = coloured_folders(root / "data", 7)
    code = program.run(
        "--datasource=images",
        f"--data_path={data}",
        f"--cache_dir={root / 'cache'}",
        f"--logdir={root / 'logs'}",
        "--image_size=16",
        "--num_classes=2",
        "--query_batch_size=2",
        "--num_filters=4",
        "--num_updates=1",
        "--metatrain_iterations=2",
        "--num_test_tasks=4",
        "--use_T",
    )
    assert code == 0
    return root / "logs" / "images-2way-1shot-tnet-seed0", data


@pytest.mark.parametrize("model", ["", "saved_model"])
def test_own_images_are_classified_by_a_run_trained_on_others(own_images, tmp_path, capsys, model):
    run, data = own_images
    for name in ("class1", "class4"):
        shutil.copytree(data / name, tmp_path / "support" / name)
        shutil.copy(data / name / "0.png", tmp_path / f"{name}.png")
    arguments = ("--predict", f"--model={run / model}", f"--support={tmp_path / 'support'}")
    query = tmp_path / "query"
    query.mkdir()
    for file in tmp_path.glob("*.png"):
        file.rename(query / file.name)
    picture = tmp_path / "out" / "sheet.png"
    assert program.run(*arguments, f"--query={query}", "--json", f"--picture={picture}") == 0
    printed = capsys.readouterr()
    answers = json.loads(printed.out)
    assert answers["classes"] == ["class1", "class4"]
    assert [answer["image"] for answer in answers["queries"]] == ["class1.png", "class4.png"]
    assert f"wrote {picture}" in printed.err
    with Image.open(picture) as image:
        assert min(image.size) > 100
    picture.unlink()
    files = [f"--query={query / name}" for name in ("class4.png", "class1.png")]
    assert program.run(*arguments, *files, "--picture=") == 0
    printed = capsys.readouterr()
    assert re.findall(r"(\w+)\.png \| ", printed.out) == ["class4", "class1"]
    assert "wrote" not in printed.err
    assert not list(picture.parent.iterdir())


def test_a_task_of_the_data_source_is_classified(own_images, tmp_path, capsys):
    run, data = own_images
    arguments = (
        "--predict",
        f"--model={run}",
        "--datasource=images",
        f"--data_path={data}",
        f"--cache_dir={tmp_path}",
        "--image_size=16",
        "--num_classes=2",
        "--query_batch_size=2",
        f"--picture={tmp_path / 'sheet.png'}",
    )
    assert program.run(*arguments) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + 4
    assert (tmp_path / "sheet.png").is_file()
    line = refused(capsys, *arguments, "--image_size=18")
    assert "takes images of 16 x 16 pixels, in colours" in line
    assert "gives images of 18 x 18 pixels, in colours" in line


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "--predict needs --model"),
        (("--model=nowhere",), "--model=nowhere is neither a SavedModel nor"),
        (("--model={run}", "--support={data}"), "--support needs --query, the images to"),
        (("--model={run}", "--query={data}"), "--query needs --support: --model="),
        (("--model={run}", "--save_adapted=d"), "--save_adapted needs --support, the classes"),
        (
            ("--model={run}", "--support={data}", "--save_adapted={data}"),
            "exists and is not a SavedModel",
        ),
        (
            ("--model={run}", "--support={data}", "--save_adapted={run}/saved_model"),
            "is a model that has learned no classes: name a new folder",
        ),
        (
            ("--model={run}", "--support={data}", "--save_adapted={run}/new"),
            "--save_adapted cannot save what --model=",
        ),
        (
            ("--model={run}", "--picture=sheet.xyz"),
            "--picture must end in .png or .pdf, or be",
        ),
        (("--model={run}", "--support={data}", "--query={data}"), "tells 2 classes apart"),
        (("--model={run}",), "--predict needs --support and --query, or --datasource=omniglot or"),
    ],
)
def test_bad_input_of_a_prediction_is_one_line(own_images, capsys, arguments, line):
    run, data = own_images
    arguments = [argument.format(run=run, data=data) for argument in arguments]
    assert line in refused(capsys, "--predict", *arguments)
