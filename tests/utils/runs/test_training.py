import csv
import json

import numpy as np
import program
import pytest
import tensorflow as tf
from absl import flags

from maml_tnet import MetaLearner
from utils.command.configuration import Config
from utils.command.flags import config_from_flags, define, parse
from utils.runs import training
from utils.runs.assembly import build_learner, build_source
from utils.runs.training import plan_spans


@pytest.mark.parametrize("per_epoch", [1, 3, 10])
@pytest.mark.parametrize("spans", [1, 4, 12])
def test_plan_covers_every_iteration_once_and_ends_epochs_at_multiples(per_epoch, spans):
    for total in range(1, 35):
        for start in range(total):
            plan = list(plan_spans(start, total, per_epoch, spans))
            assert [i for first, last in plan for i in range(first, last)] == [*range(start, total)]
            assert len(plan) % spans == 0
            ends = [last for _, last in plan[spans - 1 :: spans]]
            multiples = [i for i in range(start + 1, total) if i % per_epoch == 0]
            assert ends == [*multiples, total]


def test_spans_lie_where_they_would_without_the_interruption():
    whole = list(plan_spans(0, 40, 10, 5))
    assert list(plan_spans(20, 40, 10, 5)) == whole[10:]
    empty, *rest = plan_spans(14, 40, 10, 5)
    assert empty == (14, 14)
    assert rest == [(14, 14), *whole[7:]]


def test_a_plan_of_all_iterations_that_can_be_counted_is_not_made_at_once():
    plan = plan_spans(0, 2**31 - 1, 500, 50)
    assert [next(plan) for _ in range(2)] == [(0, 10), (10, 20)]


def test_images_are_saved_more_often_than_regression():
    assert training.iterations_per_epoch(config("--datasource=omniglot")) == 500
    assert training.iterations_per_epoch(config()) == 5000


def test_step_size_falls_from_the_first_epoch_that_begins_in_the_cooldown(monkeypatch):
    monkeypatch.setattr(training, "iterations_per_epoch", lambda config: 10)
    run = config("--metatrain_iterations=96", "--cooldown=40", "--meta_lr=0.5")
    found = [training.meta_step_size(run, epoch) for epoch in range(10)]
    # The line of slope 0.5 / 40 through 0 at iteration 96, in the middle of each epoch.
    np.testing.assert_allclose(found, [0.5] * 6 + [0.5 * left / 40 for left in (31, 21, 11, 3)])


def config(*arguments):
    flag_values = define(flags.FlagValues())
    parse(["main.py", *arguments], flag_values)
    return config_from_flags(flag_values)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a sinusoid MT-net of 15 iterations, 3 epochs."""
    logdir = tmp_path_factory.mktemp("logs")
    flags = ("--use_T", "--use_M", "--metatrain_iterations=15", "--update_batch_size=5")
    assert program.run(*flags, f"--logdir={logdir}", only_train=True) == 0
    return logdir / "sinusoid-5shot-mtnet-seed0"


def test_log_has_one_row_an_epoch_with_means_over_it(trained):
    with open(trained / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], float(row["iteration"])) for row in rows] == [
        ("0", 5),
        ("1", 10),
        ("2", 15),
    ]
    stored = Config.read(trained / "config.json")
    learner = build_learner(stored, build_source(stored, None, ""))
    # The same iterations one by one, on a learner of the same initial weights.
    measures = [[float(m) for m in learner.meta_step(tf.constant(i))] for i in range(15)]
    for name, column in (("pre_loss", 0), ("loss", 1)):
        expected = np.reshape([m[column] for m in measures], [3, 5]).mean(axis=1)
        np.testing.assert_allclose([float(row[name]) for row in rows], expected, rtol=1e-4)
    for layer in ("dense1", "dense2", "dense3"):
        assert all(0.45 < float(row[f"p_update/{layer}"]) < 0.55 for row in rows)


def events(folder):
    """Tag -> {step: value} of the scalars, and the tags of the histograms."""
    scalars, histograms = {}, set()
    for file in folder.rglob("events.out*"):
        for record in tf.data.TFRecordDataset(str(file)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    number = float(tf.make_ndarray(value.tensor))
                    scalars.setdefault(value.tag, {})[event.step] = number
                elif value.metadata.plugin_data.plugin_name == "histograms":
                    histograms.add(value.tag)
    return scalars, histograms


def test_tensorboard_has_the_numbers_of_the_log_and_histograms(trained):
    scalars, histograms = events(trained / "tensorboard")
    with open(trained / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("pre_loss", "loss", "p_update/dense1", "p_update/dense2", "p_update/dense3"):
        assert scalars[f"epoch_{name}"] == {
            i: pytest.approx(float(row[name]), rel=1e-6) for i, row in enumerate(rows)
        }
    for variable in ("kernel", "bias", "transform", "mask_logits"):
        found = [tag for tag in histograms if variable in tag]
        assert len(found) >= 3, f"{variable} not in {histograms}"


def test_checkpoints_hold_all_weights_and_adams_moments(trained):
    stored = Config.read(trained / "config.json")
    learner = build_learner(stored, build_source(stored, None, ""))
    held = program.tensors(program.newest(trained / "checkpoints"))
    weights = [name for name in held if name.startswith("parameters/")]
    state = [name for name in held if name.startswith("optimizer/")]
    assert len(weights) == len(learner.trainable_variables)
    assert len(state) >= 2 * len(weights) + 1
    assert [int(v) for k, v in held.items() if k.startswith("iteration")] == [15]


def test_without_logs_only_checkpoints_are_written(tmp_path):
    flags = ("--metatrain_iterations=1", "--dim_hidden=3", "--nolog", f"--logdir={tmp_path}")
    assert program.run(*flags, only_train=True) == 0
    (folder,) = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} == {
        ".lock",
        "config.json",
        "environment.json",
        "checkpoints",
        "epoch.json",
    }
    assert json.loads((folder / "config.json").read_text())["dim_hidden"] == 3


def test_run_stopped_by_overflowing_gradients_saves_no_such_weights(tmp_path, monkeypatch, capsys):
    meta_gradient = MetaLearner.meta_gradient

    def overflowing(self, episode, seed):
        gradients, measures = meta_gradient(self, episode, seed)
        last = tf.equal(seed[1], 9)  # the last iteration of the second epoch
        return [tf.where(last, g * float("inf"), g) for g in gradients], measures

    monkeypatch.setattr(MetaLearner, "meta_gradient", overflowing)
    flags = ("--use_T", "--metatrain_iterations=10", "--nolog", f"--logdir={tmp_path}")
    assert program.run(*flags, only_train=True) == 2
    assert "the meta-loss of iteration 10 is not finite" in capsys.readouterr().err
    (folder,) = tmp_path.iterdir()
    assert program.iterations_saved(folder) == 5
