import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from PIL import Image

from data_generators import DataError
from experiments.paper import paper_figure
from maml_tnet import Regressor
from utils.command.evaluation_flags import evaluation_settings
from utils.command.flags import config_from_flags, define, parse
from utils.reports import evaluation
from utils.reports.evaluation import (
    evaluate_run,
    evaluation_episodes,
    fits,
    measure,
    report_name,
    shots_to_evaluate,
)
from utils.runs.assembly import build_learner, build_source
from utils.runs.folder import Run

pytestmark = pytest.mark.usefixtures("two_blocks")


@pytest.fixture(autouse=True)
def without_xla(monkeypatch):
    """Compile quickly."""
    monkeypatch.setattr(Regressor, "compile_with_xla", False)


def parsed(*arguments):
    flag_values = define(flags.FlagValues())
    parse(["main.py", *arguments], flag_values)
    config = config_from_flags(flag_values)
    return config, evaluation_settings(flag_values, config)


def scramble(learner, seed=0):
    """Give the learner weights with which adaptation makes a difference."""
    random = np.random.RandomState(seed)
    for variable in learner.trainable_variables:
        noise = 0.3 * random.standard_normal(variable.shape)
        variable.assign(tf.convert_to_tensor(variable) + noise.astype(np.float32))


def built(config, settings, data_path=None, cache=""):
    source = build_source(config, data_path, cache)
    learner = build_learner(
        config,
        source,
        update_lr=settings.update_lr,
        evaluation_updates=settings.num_steps,
        evaluation_mask=settings.mask,
    )
    scramble(learner)
    return learner, source


def by_hand(config, settings, learner, source):
    """Loss and accuracy of the tasks, one at a time, after 0, 1, ... inner steps."""
    episode = source.held_out(
        settings.split, tf.range(settings.num_tasks), shot=settings.shot, query=settings.query
    )
    rows = []
    for task in range(settings.num_tasks):
        one = [tensor[task : task + 1] for tensor in episode]
        row = []
        for steps in range(settings.num_steps + 1):
            answers = learner.adapt_and_predict(one[0], one[1], one[2], steps)
            if config.is_classification:
                row.append(np.mean(np.argmax(answers, -1) == np.argmax(one[3], -1)))
            else:
                row.append(np.mean((answers - one[3]) ** 2))
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("arguments", [(), ("--use_T",), ("--use_T", "--use_M"), ("--meta_sgd",)])
def test_tasks_are_measured_in_batches_as_one_by_one(monkeypatch, arguments):
    monkeypatch.setitem(measure.__globals__["EVALUATION_BATCH"], "sinusoid", 3)
    config, settings = parsed("--mask=mode", "--dim_hidden=5", "--num_test_tasks=5", *arguments)
    settings = replace(settings, num_steps=3)
    learner, source = built(config, settings)
    losses = measure(config, learner, source, settings).losses
    expected = by_hand(config, settings, learner, source)
    assert losses.shape == (5, 4)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    assert np.all(losses[:, 3] != losses[:, 0])


def test_images_are_measured_in_batches_as_one_by_one(omniglot_path, omniglot_cache, monkeypatch):
    monkeypatch.setitem(measure.__globals__["EVALUATION_BATCH"], "omniglot", 3)
    config, settings = parsed(
        "--datasource=omniglot", "--use_T", "--use_M", "--num_filters=4", "--mask=mode",
        "--num_test_tasks=3", "--query_batch_size=4",
    )  # fmt: skip
    settings = replace(settings, num_steps=2)
    learner, source = built(config, settings, str(omniglot_path), omniglot_cache)
    accuracies = measure(config, learner, source, settings).accuracies
    expected = by_hand(config, settings, learner, source)
    # A query between two classes may fall to either side.
    assert np.mean(np.abs(accuracies - expected)) < 0.02
    assert np.std(accuracies) > 0


@pytest.mark.parametrize("queries", ["together", "alone"])
def test_queries_are_also_measured_alone_where_that_differs(
    omniglot_path, omniglot_cache, tmp_path, capsys, queries
):
    config, settings = parsed(
        "--datasource=omniglot", "--num_filters=4", "--num_test_tasks=20", f"--queries={queries}"
    )
    settings = replace(settings, num_steps=1)
    learner, source = built(config, settings, str(omniglot_path), omniglot_cache)
    run = Run.named_by(config, str(tmp_path))
    evaluate_run(run, learner, source, settings, iteration=0)
    report = json.loads((run.evaluation_folder / "val-1shot.json").read_text())
    episode = source.held_out("val", tf.range(20), shot=1, query=1)
    answer = tf.function(learner.adapt_and_predict, autograph=False)
    answers = [answer(*episode[:2], episode.query_x[:, q : q + 1], 1) for q in range(5)]
    right = np.argmax(np.concatenate(answers, axis=1), -1) == np.argmax(episode.query_y, -1)
    measure_alone = "accuracy_alone" if queries == "together" else "accuracy"
    found = np.array(report[measure_alone]["per_task"])[:, 1]
    assert np.mean(np.abs(found - right.mean(axis=1))) < 0.02  # a query between two classes
    assert ("accuracy_alone" in report) == (queries == "together")
    assert ("1-shot, queries alone" in capsys.readouterr().out) == (queries == "together")


def test_only_sinusoids_of_the_papers_shot_are_evaluated_with_three_shots():
    sinusoid, _ = parsed()
    polynomial, _ = parsed("--datasource=polynomial")
    assert shots_to_evaluate(sinusoid, 10) == (5, 10, 20)
    assert shots_to_evaluate(sinusoid, 7) == (7,)
    assert shots_to_evaluate(polynomial, 10) == (10,)


def test_three_shots_give_three_reports_and_three_columns(tmp_path, capsys):
    config, settings = parsed("--dim_hidden=3", "--num_test_tasks=4", "--test_set", "--use_M")
    settings = replace(settings, num_steps=1)
    learner, source = built(config, settings)
    run = Run.named_by(config, str(tmp_path))
    evaluate_run(run, learner, source, settings, iteration=0)
    output = capsys.readouterr().out
    assert "M-net on sinusoid, test split, mean squared error, mask: sample" in output
    table = [line for line in output.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in table[0].split("|")[2:-1]] == ["5-shot", "10-shot", "20-shot"]
    means = []
    for column, shot in enumerate((5, 10, 20)):
        report = json.loads((run.evaluation_folder / f"test-{shot}shot.json").read_text())
        with open(run.evaluation_folder / f"test-{shot}shot.csv", newline="") as file:
            means.append(float(list(csv.reader(file))[1][2]))
        assert report["settings"]["shot"] == shot
        assert report["versions"]["tensorflow"] == tf.__version__
        assert means[-1] == pytest.approx(report["loss"]["mean"][1])
        shown = float(table[3].split("|")[2 + column].split("±")[0])
        assert shown == pytest.approx(means[-1], abs=6e-4)
    assert len(set(means)) == 3
    for plot in ("test.png", "fits.png"):
        with Image.open(run.evaluation_folder / plot) as image:
            image.verify()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((), "val-10shot"),
        (("--test_set",), "test-10shot"),
        (("--update_batch_size=3",), "val-3shot"),
        (("--use_M", "--mask=mode"), "val-10shot-mode"),
        (("--mask=mode",), "val-10shot"),
        (("--query_batch_size=7",), "val-10shot"),  # as in training
        (("--datasource=miniimagenet", "--update_batch_size=5"), "val-5shot"),
        (
            ("--datasource=miniimagenet", "--update_batch_size=5", "--query_batch_size=15"),
            "val-5shot-15queries",
        ),
        (("--notrain", "--update_lr=0.5", "--train_update_lr=0.01"), "val-10shot-alpha0.5"),
        (("--notrain", "--update_lr=1", "--train_update_lr=0.01"), "val-10shot-alpha1"),
        (
            ("--notrain", "--update_lr=0.01000001", "--train_update_lr=0.01"),
            "val-10shot-alpha0.01000001",
        ),
    ],
)
def test_reports_that_differ_have_names_that_differ(arguments, name):
    assert report_name(*parsed(*arguments), "last") == name
    assert report_name(*parsed(*arguments), "best") == f"{name}-best"


def test_fits_are_of_held_out_tasks_and_their_true_functions():
    config, settings = parsed("--dim_hidden=3")
    learner, source = built(config, settings)
    shown = fits(learner, source, settings)
    assert len(shown) == 4
    for fit in shown:
        assert fit.support_x.shape == fit.support_y.shape == (10,)
        assert fit.x.shape == fit.true_y.shape == (100,)
        assert list(fit.predictions) == [0, 1, 10]
        # Ten steps bring the support examples, and so the curve, closer.
        assert np.any(fit.predictions[10] != fit.predictions[0])
    episode = source.held_out("val", tf.range(4), shot=10, query=100)
    np.testing.assert_array_equal(shown[2].true_y, episode.query_y[2, :, 0])
    expected = learner.adapt_and_predict(
        episode.support_x[2:3], episode.support_y[2:3], episode.query_x[2:3], 1
    )
    np.testing.assert_allclose(shown[2].predictions[1], expected[0, :, 0], rtol=1e-4)


def test_more_examples_than_a_class_has_are_refused_before_anything_is_drawn(
    omniglot_path, omniglot_cache
):
    config, settings = parsed("--datasource=omniglot", "--notrain")
    source = build_source(config, str(omniglot_path), omniglot_cache)
    with pytest.raises(DataError, match=r"--update_batch_size=15 .* needs 30 images"):
        evaluation_episodes(config, source, replace(settings, shot=15, query=15))


@pytest.mark.parametrize(("alpha", "shown"), [("0.01", True), ("0.02", False)])
def test_the_papers_figure_is_shown_for_the_trained_step_size_only(capsys, tmp_path, alpha, shown):
    config, settings = parsed(
        "--notrain",
        f"--update_lr={alpha}",
        "--train_update_lr=0.01",
        "--num_test_tasks=2",
        "--dim_hidden=2",
    )
    settings = replace(settings, num_steps=1)
    learner, source = built(config, settings)
    run = Run.named_by(config, str(tmp_path))
    evaluate_run(run, learner, source, settings, iteration=0, published=paper_figure)
    assert ("0.71 ± 0.07" in capsys.readouterr().out) is shown
    kind = "" if shown else "-alpha0.02"
    plots = {path.name for path in run.evaluation_folder.glob("*.png")}
    assert plots == {f"val{kind}.png", f"fits-val{kind}.png"}


@pytest.mark.parametrize(
    ("steps", "said"),
    [(30, ""), (31, "compiling 31 inner steps, one by one")],
)
def test_many_steps_are_said_before_they_are_compiled(capsys, tmp_path, monkeypatch, steps, said):
    config, settings = parsed("--notrain", f"--test_num_updates={steps}")
    monkeypatch.setattr(evaluation, "measure", lambda *_: pytest.fail("it would be compiled"))
    with pytest.raises(pytest.fail.Exception):
        evaluate_run(Run.named_by(config, str(tmp_path)), None, None, settings, iteration=0)
    assert capsys.readouterr().out.partition(":")[0] == said


@pytest.mark.parametrize("masks", ["--share_M", "--noshare_M"])
def test_tasks_and_their_drawn_masks_do_not_depend_on_the_evaluation_batch(monkeypatch, masks):
    config, settings = parsed("--dim_hidden=5", "--num_test_tasks=12", "--use_M", "--use_T", masks)
    settings = replace(settings, num_steps=2)
    learner, source = built(config, settings)
    found = []
    for batch in (1, 5, 12):
        monkeypatch.setitem(measure.__globals__["EVALUATION_BATCH"], "sinusoid", batch)
        found.append(measure(config, learner, source, settings).losses)
    np.testing.assert_allclose(found[0], found[2], rtol=1e-4)
    np.testing.assert_allclose(found[1], found[2], rtol=1e-4)
