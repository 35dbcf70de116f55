import os
import signal
import sys

import numpy as np
import program
import pytest
import tensorflow as tf
from absl import flags

from utils.command.flags import config_from_flags, define, parse
from utils.errors import TrainingDiverged, TrainingInterrupted
from utils.runs.assembly import build_learner, build_source
from utils.runs.callbacks import (
    HANGUP,
    LogUpdateProbabilities,
    ProgressBar,
    SaveCheckpoints,
    SaveOnSignal,
    StopOnDivergence,
    update_probabilities,
)
from utils.runs.checkpoints import Checkpoints
from utils.runs.epoch_means import EpochMeans
from utils.runs.folder import Run


def learner(*arguments):
    flag_values = define(flags.FlagValues())
    parse(["main.py", "--dim_hidden=2", *arguments], flag_values)
    config = config_from_flags(flag_values)
    return config, build_learner(config, build_source(config, None, ""))


@pytest.fixture
def checkpoints(tmp_path):
    config, of = learner()
    return Checkpoints(Run.named_by(config, str(tmp_path)), of)


@pytest.fixture
def means(tmp_path):
    config, of = learner()
    return EpochMeans(Run.named_by(config, str(tmp_path)).epoch_file, of, 0)


def ends_epoch(iteration):
    return iteration % 10 == 0


def saved(checkpoints, tmp_path):
    (folder,) = tmp_path.iterdir()
    return program.iterations_saved(folder)


def test_update_probability_is_the_sigmoid_averaged_over_a_layer():
    _, of = learner("--use_M", "--use_T")
    logits = [layer.mask_logits[0] for layer in of.network.transform_layers]
    logits[0].assign([0.0, np.log(3.0)])
    logits[2].assign([-50.0])
    assert update_probabilities(of) == {
        "p_update/dense1": pytest.approx((0.5 + 0.75) / 2),
        "p_update/dense2": pytest.approx(0.5),
        "p_update/dense3": pytest.approx(0.0, abs=1e-6),
    }


def test_update_probability_of_unshared_masks_counts_every_weight_and_bias():
    _, of = learner("--use_M", "--noshare_M")
    kernel, bias = of.network.transform_layers[0].mask_logits
    kernel.assign(tf.fill(kernel.shape, 50.0))
    bias.assign(tf.fill(bias.shape, -50.0))
    # Two weights that are always updated and two biases that never are.
    assert update_probabilities(of)["p_update/dense1"] == pytest.approx(0.5)


def test_without_masks_nothing_is_added_to_the_log():
    callback = LogUpdateProbabilities()
    callback.set_model(learner("--use_T")[1])
    logs = {"loss": 1.0}
    callback.on_epoch_end(0, logs)
    assert logs == {"loss": 1.0}


def test_divergence_is_a_span_that_ends_early():
    callback = StopOnDivergence([5, 10, 15])
    callback.on_train_batch_end(0, {"iteration": 5.0})
    callback.on_train_batch_end(1, {"iteration": 10.0})
    with pytest.raises(TrainingDiverged, match="iteration 13 is not finite") as caught:
        callback.on_train_batch_end(2, {"iteration": 13.0})
    assert caught.value.iteration == 13


def test_best_is_the_largest_accuracy_of_all(checkpoints, means, tmp_path):
    callback = SaveCheckpoints(checkpoints, means, ends_epoch)
    best = []
    for iteration, accuracy in enumerate([0.3, 0.5, 0.4, 0.5, 0.6, 0.1], start=1):
        callback.on_epoch_end(0, {"iteration": iteration, "val_accuracy": accuracy})
        best.append(checkpoints.restore_best())
        checkpoints.restore_latest()
    assert best == [1, 2, 2, 2, 5, 5]
    assert saved(checkpoints, tmp_path) == 6


def test_without_validation_there_is_no_best(checkpoints, means, tmp_path):
    SaveCheckpoints(checkpoints, means, ends_epoch).on_epoch_end(0, {"iteration": 3.0})
    assert saved(checkpoints, tmp_path) == 3
    assert not list(tmp_path.rglob("best"))


@pytest.mark.parametrize("number", SaveOnSignal.signals)
def test_signal_saves_after_the_span_and_gives_the_handlers_back(
    checkpoints, means, tmp_path, capsys, number
):
    before = {n: signal.getsignal(n) for n in SaveOnSignal.signals}
    callback = SaveOnSignal(checkpoints, means, ends_epoch)
    callback.on_train_begin()
    callback.on_train_batch_end(0, {"iteration": 4.0})
    assert not list(tmp_path.iterdir()), "saved without a signal"
    os.kill(os.getpid(), number)
    assert f"{number.name}: saving" in capsys.readouterr().err
    # A second one acts at once.
    assert {n: signal.getsignal(n) for n in SaveOnSignal.signals} == before
    with pytest.raises(TrainingInterrupted) as caught:
        callback.on_train_batch_end(1, {"iteration": 8.0})
    assert (caught.value.signal_number, caught.value.iteration) == (number, 8)
    assert saved(checkpoints, tmp_path) == 8


@pytest.mark.skipif(HANGUP is None, reason="a system without SIGHUP")
def test_when_the_terminal_goes_nothing_fails_by_writing_to_it(checkpoints, means, monkeypatch):
    terminal, ours = os.openpty()
    with os.fdopen(ours, "w") as output:
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, output)
        callback = SaveOnSignal(checkpoints, means, ends_epoch)
        callback.on_train_begin()
        os.close(terminal)
        with pytest.raises(OSError, match="Input/output error"):
            print("to whom?", flush=True)
        os.kill(os.getpid(), HANGUP)
        print("nobody", flush=True)
        with pytest.raises(TrainingInterrupted) as caught:
            callback.on_train_batch_end(1, {"iteration": 8.0})
    assert caught.value.signal_number == HANGUP


@pytest.mark.skipif(HANGUP is None, reason="a system without SIGHUP")
def test_a_hangup_that_nohup_ignores_stays_ignored(checkpoints, means):
    before = signal.signal(HANGUP, signal.SIG_IGN)
    try:
        callback = SaveOnSignal(checkpoints, means, ends_epoch)
        callback.on_train_begin()
        os.kill(os.getpid(), HANGUP)
        callback.on_train_batch_end(1, {"iteration": 8.0})
        callback.restore_handlers()
        assert signal.getsignal(HANGUP) == signal.SIG_IGN
    finally:
        signal.signal(HANGUP, before)


def test_where_nobody_reads_the_progress_any_more_the_run_is_saved(
    checkpoints, means, monkeypatch, tmp_path
):
    reader, writer = os.pipe()
    signals = SaveOnSignal(checkpoints, means, ends_epoch)
    bar = ProgressBar(0, 20, signals.stop)
    with os.fdopen(writer, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        for callback in (bar, signals):
            callback.on_train_begin()
        os.close(reader)
        logs = {"iteration": 8.0, "loss": 1.0, "pre_loss": 2.0}
        bar.on_train_batch_end(1, logs)
        with pytest.raises(TrainingInterrupted) as caught:
            signals.on_train_batch_end(1, logs)
        print("nobody", flush=True)
    signals.restore_handlers()
    assert (caught.value.signal_number, caught.value.iteration) == (signal.SIGPIPE, 8)
    assert saved(checkpoints, tmp_path) == 8


def test_signal_in_the_last_span_waits_for_the_epochs_row(checkpoints, means, tmp_path):
    callback = SaveOnSignal(checkpoints, means, ends_epoch)
    callback.on_train_begin()
    os.kill(os.getpid(), signal.SIGTERM)
    callback.on_train_batch_end(9, {"iteration": 10.0})
    assert not list(tmp_path.iterdir())
    with pytest.raises(TrainingInterrupted, match="stopped after iteration 10, which is saved"):
        callback.on_epoch_end(0, {"iteration": 10.0})


def test_signal_between_spans_leaves_after_the_epoch(checkpoints, means):
    callback = SaveOnSignal(checkpoints, means, ends_epoch)
    callback.on_train_begin()
    callback.on_epoch_end(0, {"iteration": 5.0})
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(TrainingInterrupted, match="stopped after iteration 10, which is saved"):
        callback.on_epoch_end(1, {"iteration": 10.0})


def test_handlers_can_be_given_back_before_training_began(checkpoints, means):
    SaveOnSignal(checkpoints, means, ends_epoch).restore_handlers()


def test_progress_bar_counts_what_is_still_to_do(capsys):
    bar = ProgressBar(start=100, total=300, stop=pytest.fail)
    bar.on_train_begin()
    bar.on_train_batch_end(0, {"iteration": 200.0, "loss": 0.25, "hidden": 9.0})
    bar.on_epoch_end(0, {"val_accuracy": 0.75, "val_loss": 3.0})
    bar.on_train_batch_end(1, {"iteration": 300.0, "loss": 0.125})
    bar.on_train_batch_end(2, {"iteration": 300.0, "loss": 0.125})  # an empty span
    output = capsys.readouterr().out
    last = output.splitlines()[-1]
    assert "200/200" in last
    assert output.count("200/200") == 1
    assert "loss: 0.1250" in last
    assert "val_accuracy: 0.7500" in last
    assert "hidden" not in output
    assert "val_loss" not in output
