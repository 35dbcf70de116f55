"""A finished experiment's record belongs to its data."""

import dataclasses
import json

import numpy as np
import pytest
from made_up import record

from experiments.experiment import Experiment
from experiments.record import check_data, read_record
from utils.errors import UsageError


@pytest.fixture
def made():
    experiment = Experiment("x", ("--metatrain_iterations=4", "--num_test_tasks=3"))
    return record(experiment, lambda settings: np.ones((3, 4)))


def test_a_record_of_this_data_is_taken(made, tmp_path, capsys):
    of_a = dataclasses.replace(made, data="a")
    of_a.write(tmp_path)
    assert read_record(made.experiment, tmp_path).data == "a"
    assert check_data(of_a, "a", tmp_path) is of_a
    assert check_data(made, None, tmp_path) is made
    assert capsys.readouterr().out == ""


def test_a_record_says_with_what_training_went_on(made, tmp_path):
    later = [{"iteration": 2, "git_commit": "b"}]
    dataclasses.replace(made, went_on_with=later).write(tmp_path)
    assert read_record(made.experiment, tmp_path).went_on_with == later
    earlier = json.loads((tmp_path / "x.json").read_text())
    del earlier["went_on_with"], earlier["sha256"]
    (tmp_path / "x.json").write_text(json.dumps(earlier))  # as version 0.6.0 wrote it
    assert list(read_record(made.experiment, tmp_path).went_on_with) == []


def test_a_record_of_other_data_is_refused(made, tmp_path):
    with pytest.raises(UsageError, match=r"x\.json was measured on other data: give that data, or"):
        check_data(dataclasses.replace(made, data="a"), "b", tmp_path)


def test_a_record_of_an_earlier_version_gets_its_data_with_a_line(made, tmp_path, capsys):
    made.write(tmp_path)
    assert check_data(made, "a", tmp_path).data == "a"
    assert "x.json does not say what data it was measured on" in capsys.readouterr().out
    assert read_record(made.experiment, tmp_path).data == "a"
