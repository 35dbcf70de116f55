"""Runs and models of version 0.2.0, which wrote no checksums, are read as they were: fixtures."""

import csv
import json
import shutil

import numpy as np
import program
import pytest
import tensorflow as tf

from tests.fixtures import NEWEST
from tests.fixtures.make import PER_EPOCH, SINUSOID
from tests.fixtures.pictures import write_pictures, write_task
from utils.command.configuration import Config
from utils.runs.assembly import build_learner, build_source
from utils.runs.checkpoints import Checkpoints
from utils.runs.folder import Run

# Other processors round otherwise.
CLOSE = {"rtol": 1e-3, "atol": 1e-4}


@pytest.fixture
def logs(tmp_path):
    return shutil.copytree(NEWEST, tmp_path / "logs")


def table(file):
    """The rows of numbers of an evaluation's table."""
    with file.open(newline="") as opened:
        return np.array([row[1:] for row in csv.reader(opened)][1:], float)


def test_a_regression_run_is_evaluated_to_what_it_was(logs, capsys):
    folder = logs / "sinusoid-5shot-mtnet-seed0"
    (folder / "evaluation" / "test-5shot.csv").unlink()
    arguments = (*SINUSOID, f"--logdir={logs}", "--notrain", "--test_set")
    assert program.run(*arguments, evaluated_steps=10) == 0
    expected = table(NEWEST / folder.name / "evaluation" / "test-5shot.csv")
    np.testing.assert_allclose(table(folder / "evaluation" / "test-5shot.csv"), expected, **CLOSE)


def test_a_regression_run_goes_on_as_if_it_were_today_s(logs, tmp_path):
    arguments = (*SINUSOID, "--metatrain_iterations=30", "--nolog")
    options = {"per_epoch": PER_EPOCH[SINUSOID], "only_train": True}
    assert program.run(*arguments, f"--logdir={logs}", **options) == 0
    assert program.run(*arguments, f"--logdir={tmp_path}/anew", **options) == 0
    here, there = (
        program.tensors(program.newest(folder / "sinusoid-5shot-mtnet-seed0" / "checkpoints"))
        for folder in (logs, tmp_path / "anew")
    )
    assert here.keys() == there.keys()
    for name, value in there.items():
        np.testing.assert_allclose(here[name], value, **CLOSE, err_msg=name)


def test_the_best_weights_of_an_image_run_are_those_that_it_exported(logs, tmp_path):
    write_pictures(tmp_path / "pictures")
    folder = logs / "images-2way-1shot-mtnet-seed0"
    config = Config.read(folder / "config.json")
    source = build_source(config, str(tmp_path / "pictures"), str(tmp_path / "cache"))
    learner = build_learner(config, source)
    assert Checkpoints(Run(folder, config), learner).restore("best") == ("best", 4)
    exported = tf.train.load_checkpoint(str(folder / "saved_model" / "variables" / "variables"))
    assert len(learner.trainable_variables) > 10
    for number, variable in enumerate(learner.trainable_variables):
        expected = exported.get_tensor(f"parameters/{number}/.ATTRIBUTES/VARIABLE_VALUE")
        np.testing.assert_array_equal(tf.convert_to_tensor(variable), expected)


def test_a_model_answers_as_it_did(tmp_path, capsys, caplog):
    write_task(tmp_path)
    model = NEWEST / "images-2way-1shot-mtnet-seed0"
    code = program.run(
        "--predict",
        f"--model={model}",
        f"--support={tmp_path}/support",
        f"--query={tmp_path}/query",
        f"--picture={tmp_path}/sheet.png",
        "--json",
    )
    assert code == 0
    found = json.loads(capsys.readouterr().out)
    expected = json.loads((NEWEST / "prediction.json").read_text())
    assert found["classes"] == expected["classes"]
    for here, there in zip(found["queries"], expected["queries"], strict=True):
        assert (here["image"], here["class"]) == (there["image"], there["class"])
        assert here["probabilities"] == pytest.approx(there["probabilities"], abs=1e-3)
    assert "has no SHA256SUMS, as version 0.2.0 and before wrote none" in caplog.text
