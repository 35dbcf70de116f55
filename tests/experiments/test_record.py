"""A finished experiment's record belongs to its data."""

import dataclasses
import json

import numpy as np
import pytest
from made_up import record

from experiments.experiment import Experiment
from experiments.record import (
    check_data,
    check_same_data,
    earlier_versions,
    read_record,
    record_file,
)
from experiments.tables import made_with
from system.errors import FileError
from utils.errors import UsageError


@pytest.fixture
def made():
    flags = ("--metatrain_iterations=4", "--num_test_tasks=3", "--use_T", "--use_M")
    experiment = Experiment("x", flags)
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


@pytest.mark.parametrize("document", [{}, {"configuration": {}}, {"my": "notes"}])
def test_what_is_no_record_of_any_version_is_named(made, tmp_path, document):
    file = record_file(made.experiment, tmp_path)
    file.write_text(json.dumps(document))
    for read in (read_record, earlier_versions):
        with pytest.raises(FileError, match=r"x\.json is not what it should be: it has no '"):
            read(made.experiment, tmp_path)
    assert json.loads(file.read_text()) == document


@pytest.mark.parametrize(
    "change",
    [
        *({name: {}} for name in ("evaluations", "iterations", "data", "went_on_with")),
        *({name: []} for name in ("mask_logits", "trained_with", "measured_with")),
        *({"diverged_at": "never"}, {"went_on_with": ["later"]}, {"evaluations": [[]]}),
        *({"mask_logits": {"dense1": values}} for values in ([], 1, ["x"], [[1]])),
        {"mask_logits": {}},
        {"configuration": []},
    ],
)
def test_a_record_of_another_form_counts_as_missing(made, tmp_path, change):
    made.write(tmp_path)
    file = record_file(made.experiment, tmp_path)
    stored = json.loads(file.read_text())
    del stored["sha256"]
    file.write_text(json.dumps(stored | change))
    assert read_record(made.experiment, tmp_path) is None


def test_a_record_without_the_steps_of_the_tables_counts_as_missing(made, tmp_path):
    (measured,) = made.measured
    fewer = dataclasses.replace(measured, steps=(0, 1, 5, 9))
    dataclasses.replace(made, measured=[fewer]).write(tmp_path)
    assert read_record(made.experiment, tmp_path) is None


def test_a_record_of_unknown_versions_says_so(made, tmp_path):
    some = dataclasses.replace(made, trained_with={}, measured_with={"python": "3.12"})
    some.write(tmp_path)
    said = made_with([read_record(made.experiment, tmp_path)])
    assert "measured with Python 3.12, TensorFlow unknown, Keras unknown" in said


def test_a_file_whose_data_is_no_fingerprint_does_not_say_it(tmp_path):
    (tmp_path / "mine.json").write_text('{"data": [1, 2]}')
    check_same_data(tmp_path, "a")
    (tmp_path / "mine.json").write_text('{"data": "b"}')
    with pytest.raises(UsageError, match=r"mine\.json was measured on other data"):
        check_same_data(tmp_path, "a")


def test_a_record_of_other_layers_is_named(made):
    other = dataclasses.replace(made, mask_logits={"mine": np.zeros(3)})
    assert other.layer_update_probability("mine") == 0.5
    with pytest.raises(UsageError, match=r"^x\.json has no mask logits of dense1, as others have"):
        other.layer_update_probability("dense1")
