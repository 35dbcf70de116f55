"""A run that is stopped at an iteration that is named has the log of one that was left alone."""

import csv
import json
import os
import signal
from dataclasses import replace

import numpy as np
import program
import pytest
from absl import flags
from tensorflow import keras

from data_generators import Sinusoid
from maml_tnet.compat import optimizer_variables
from system.errors import FileError
from utils.command.flags import config_from_flags, define, parse
from utils.errors import TrainingInterrupted
from utils.runs.assembly import build_learner
from utils.runs.epoch_means import EpochMeans
from utils.runs.folder import Run
from utils.runs.training import train

PER_EPOCH = 8


class Program:
    """The program as often as it is started, compiled only once."""

    def __init__(self):
        values = define(flags.FlagValues())
        parse(["main.py", "--use_T", "--use_M", "--dim_hidden=2"], values)
        self.config = config_from_flags(values)
        with program.quick(PER_EPOCH):
            self.learner = build_learner(self.config, Sinusoid())
        self.variables = [
            *self.learner.trainable_variables,
            *optimizer_variables(self.learner.optimizer),
        ]
        self.initial = [variable.numpy() for variable in self.variables]

    def start(self, folder, iterations, stop_at=None, number=signal.SIGINT):
        """Train; send this process a signal when so many iterations are done."""
        for variable, value in zip(self.variables, self.initial, strict=True):
            variable.assign(value)
        run = Run(folder, replace(self.config, metatrain_iterations=iterations))
        with program.quick(PER_EPOCH):
            train(run, self.learner, Sinusoid(), log=True, progress=Signal(stop_at, number))


class Signal(keras.callbacks.Callback):
    """Takes the progress bar's place."""

    def __init__(self, stop_at, number):
        super().__init__()
        self.stop_at, self.number = stop_at, number

    def on_train_batch_end(self, batch, logs=None):
        if self.number and logs["iteration"] == self.stop_at:
            os.kill(os.getpid(), self.number)
            self.number = None


@pytest.fixture(scope="module")
def trained():
    return Program()


@pytest.fixture(scope="module")
def learner(trained):
    return trained.learner


@pytest.fixture(scope="module")
def undisturbed(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    trained.start(folder, 21)
    return folder


def rows_of(folder):
    with open(folder / "log.csv", newline="") as file:
        # Keras 3 writes NA for a validation that there is none of.
        return [
            {name: float(value) for name, value in row.items() if value != "NA"}
            for row in csv.DictReader(file)
        ]


def test_signals_leave_no_trace_in_the_log(trained, undisturbed, tmp_path):
    # In an epoch's middle, at its end, twice in one epoch, in the short last one.
    stops = [(3, signal.SIGINT), (8, signal.SIGTERM), (11, signal.SIGTERM), (14, signal.SIGINT)]
    for stop_at, number in [*stops, (18, signal.SIGTERM)]:
        with pytest.raises(TrainingInterrupted) as stop:
            trained.start(tmp_path, 21, stop_at, number)
        assert (stop.value.iteration, stop.value.signal_number) == (stop_at, number)
        assert program.iterations_saved(tmp_path) == stop_at
    trained.start(tmp_path, 21)
    assert (tmp_path / "log.csv").read_bytes() == (undisturbed / "log.csv").read_bytes()
    assert [(row["epoch"], row["iteration"]) for row in rows_of(tmp_path)] == [
        (0, 8),
        (1, 16),
        (2, 21),
    ]
    program.assert_same_checkpoint(
        program.newest(tmp_path / "checkpoints"),
        program.newest(undisturbed / "checkpoints"),
        saves=False,
    )


def test_a_longer_run_goes_on_in_the_epoch_in_which_a_shorter_one_ended(
    trained, undisturbed, tmp_path
):
    for iterations in (13, 21):
        trained.start(tmp_path, iterations)
    rows, expected = rows_of(tmp_path), rows_of(undisturbed)
    assert len(rows) == len(expected)
    # The spans of the shorter run's last epoch are others, so sums differ in their last digits.
    for row, wanted in zip(rows, expected, strict=True):
        assert row == pytest.approx(wanted, rel=1e-6)


def test_a_run_that_an_earlier_version_stopped_goes_on(trained, undisturbed, tmp_path):
    with pytest.raises(TrainingInterrupted):
        trained.start(tmp_path, 21, stop_at=11)
    (tmp_path / "epoch.json").unlink()
    trained.start(tmp_path, 21)
    rows, expected = rows_of(tmp_path), rows_of(undisturbed)
    assert [rows[0], rows[2]] == [expected[0], expected[2]]
    assert rows[1]["iteration"] == 16


def means_of(learner):
    return [float(meter.result()) for meter in learner.metrics]


def test_means_go_on_bit_for_bit_and_only_with_their_checkpoint(learner, tmp_path):
    file = tmp_path / "epoch.json"
    values = [0.1, float("nan"), 1e-30, 3.3]
    before = EpochMeans(file, learner, 0)
    assert not before.go_on
    for meter, value in zip(learner.metrics, values, strict=False):
        meter.update_state(value)
    before.on_train_batch_end(0)
    expected = means_of(learner)
    learner.reset_metrics()  # as validation does
    before.keep(7)

    assert not EpochMeans(file, learner, 8).go_on
    after = EpochMeans(file, learner, 7)
    assert after.go_on
    after.on_epoch_begin(0)
    np.testing.assert_array_equal(means_of(learner), expected)
    learner.reset_metrics()
    after.on_epoch_begin(1)
    assert means_of(learner) == [0.0] * len(learner.metrics)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"iteration": 7, "sums": ["0x1p+0"]},
        {"iteration": 7, "sums": [1, 2, 3, 4]},
        {"sums": 1},
        {"iteration": 7, "sums": ["0x1p+9999"]},
    ],
)
def test_a_file_that_was_changed_is_one_line(learner, tmp_path, values):
    file = tmp_path / "epoch.json"
    file.write_text(json.dumps(values))
    with pytest.raises(FileError, match=r"epoch\.json is damaged or was changed: remove it"):
        EpochMeans(file, learner, 7)
