"""Evaluating and exporting a run that is named by its folder, and runs of other data."""

import json
import shutil
from pathlib import Path

import numpy as np
import program
import pytest
import tensorflow as tf
from fixtures.pictures import write_pictures
from test_main import refused, report

import main
from data_generators import Sinusoid
from utils.runs.checkpoints import Checkpoints

STACK = "2.15" if tf.__version__.startswith("2.15") else "2.21"
FIXTURES = Path(__file__).parent / "fixtures" / f"0.2.0-tensorflow-{STACK}"
NAME = "images-2way-1shot-mtnet-seed0"
SINUSOID = "sinusoid-5shot-mtnet-seed0"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """The pictures that the run was trained on, with a cache."""
    root = tmp_path_factory.mktemp("pictures")
    write_pictures(root / "data")
    return root / "data", root / "cache"


@pytest.fixture
def from_before(tmp_path):
    """The folder of a run on pictures, as version 0.2.0 wrote it."""
    return shutil.copytree(FIXTURES / NAME, tmp_path / "logs" / NAME)


@pytest.fixture
def run(from_before, pictures):
    """The same, with its data noted."""
    opened = main.Run.opened(from_before)
    data, cache = map(str, pictures)
    source = main.build_source(opened.config, data, cache)
    opened.check_data(main.used_data(source, data, cache))
    return from_before


def test_a_run_from_before_is_taken_up_and_then_needs_its_folder_alone(
    from_before, pictures, capsys
):
    data, cache = pictures
    said = []
    for where in ((f"--data_path={data}", f"--cache_dir={cache}"), ()):
        # It gets to the checkpoint, of which there is none that is cheap to evaluate.
        assert program.run("--notrain", f"--run={from_before}", "--test_iter=3", *where) == 2
        printed = capsys.readouterr()
        assert "--test_iter=3: no such checkpoint" in printed.err
        said.append("does not say what data it was trained on" in printed.out)
    assert said == [True, False]
    noted = json.loads((from_before / "data.json").read_text())
    assert {split: len(classes) for split, classes in noted["classes"].items()} == {
        "train": 4,
        "val": 2,
        "test": 2,
    }


def test_a_run_from_before_without_its_data_says_what_is_missing(from_before, capsys):
    line = refused(capsys, "--notrain", f"--run={from_before}")
    assert line.startswith("--data_path must name ")


def test_evaluation_and_export_may_differ_from_training(tmp_path, capsys):
    run = shutil.copytree(FIXTURES / SINUSOID, tmp_path / SINUSOID)
    model = tmp_path / "model"
    arguments = (
        f"--run={run}",
        "--update_batch_size=7",
        "--query_batch_size=3",
        "--update_lr=0.5",
        "--test_num_updates=12",
        "--num_test_tasks=5",
        "--mask=mode",
    )
    assert program.run("--notrain", *arguments, f"--export_dir={model}") == 0
    found = report(run, "val-7shot-alpha0.5-3queries-mode")
    assert np.shape(found["loss"]["per_task"]) == (5, 13)
    assert (found["settings"]["shot"], found["settings"]["query"]) == (7, 3)
    said = capsys.readouterr().out
    assert "mask: mode, trained 5-shot, alpha 0.5 (trained with 0.01), 3 queries" in said

    opened = main.Run.opened(run)
    learner = main.build_learner(opened.config, Sinusoid(), update_lr=0.5)
    Checkpoints(opened, learner).restore_latest()
    episode = Sinusoid().held_out("test", tf.range(2), shot=7, query=3)
    given = {name: getattr(episode, name) for name in ("support_x", "support_y", "query_x")}
    exported = tf.saved_model.load(str(model)).signatures["serving_default"](**given)
    expected, fewer = (learner.adapt_and_predict(**given, num_updates=n) for n in (12, 10))
    difference = np.max(np.abs(exported["predictions"] - expected))
    assert difference < 0.01 * np.max(np.abs(expected - fewer))


def test_flags_of_another_run_are_refused_with_advice_that_helps(run, capsys):
    line = refused(capsys, "--notrain", f"--run={run}", "--num_filters=3", "--nouse_M")
    assert f"{run} belongs to a run with other settings: " in line
    assert "use_M is True there, False here" in line
    assert "num_filters is 2 there, 3 here" in line
    assert "leave those flags out to evaluate it, or name another run by --run" in line
    assert "noresume" not in line


def test_the_flags_that_name_a_run_find_it(run, capsys):
    named = ("--notrain", "--datasource=images", "--num_classes=2", "--use_T", "--use_M")
    logdir = f"--logdir={run.parent}"
    # All that the name of the folder does not say is taken from it: this gets to the checkpoint.
    assert "--test_iter=3: no such" in refused(capsys, *named, logdir, "--test_iter=3")
    assert "no run in " in refused(capsys, *named, logdir, "--seed=7")


MODES = {
    "training": lambda run, data: (
        "--datasource=images",
        "--num_classes=2",
        "--image_size=16",
        "--num_filters=2",
        "--use_T",
        "--use_M",
        "--meta_batch_size=2",
        "--query_batch_size=2",
        "--num_updates=1",
        "--metatrain_iterations=8",
        f"--logdir={run.parent}",
    ),
    "evaluation": lambda run, data: ("--notrain", f"--run={run}"),
    "export": lambda run, data: ("--notrain", f"--run={run}", f"--export_dir={data}/model"),
}


@pytest.mark.parametrize("mode", MODES)
def test_other_data_is_refused_and_nothing_written(run, pictures, tmp_path, capsys, mode):
    other = shutil.copytree(pictures[0], tmp_path / "other")
    shutil.copytree(other / "class0", other / "zebra")
    before = program.snapshot(run)
    arguments = MODES[mode](run, tmp_path)
    line = refused(capsys, *arguments, f"--data_path={other}", f"--cache_dir={tmp_path}/cache")
    assert f"{run} belongs to a run on other data: class " in line
    assert f"give that data, which lay in {pictures[0]}" in line
    assert ("--noresume" in line) == (mode == "training")
    after = program.snapshot(run)
    assert {name: after[name] for name in before} == before
    assert not (tmp_path / "model").exists()
