import csv
import json
import os
import warnings

import numpy as np
import pytest
from absl import flags
from scipy import stats

from utils import paper
from utils.flags import config_from_flags, define, evaluation_settings, parse
from utils.paper import paper_figure
from utils.reports import Column, format_table, summarize, write_report

VERSIONS = {"tensorflow": "2.x"}


def config_and_settings(command=""):
    flag_values = define(flags.FlagValues())
    parse(["main.py", *command.split()], flag_values)
    config = config_from_flags(flag_values)
    return config, evaluation_settings(flag_values, config)


def config(command=""):
    return config_and_settings(command)[0]


def write(folder, losses, accuracies=None, command=""):
    run, settings = config_and_settings(command)
    return write_report(
        folder,
        "test",
        config=run,
        iteration=7,
        settings=settings,
        losses=losses,
        accuracies=accuracies,
        versions=VERSIONS,
    )


@pytest.fixture
def losses():
    return np.random.default_rng(0).gamma(2.0, size=(600, 11)).astype(np.float32)


def test_summary_agrees_with_scipy(losses):
    summary = summarize(losses)
    values = losses.astype(np.float64)
    np.testing.assert_allclose(summary.mean, stats.describe(values).mean, rtol=1e-12)
    np.testing.assert_allclose(summary.std, stats.tstd(values, ddof=0), rtol=1e-12)
    low, high = stats.t.interval(0.95, 599, stats.tmean(values, axis=0), stats.sem(values))
    np.testing.assert_allclose(summary.mean - summary.ci95, low)
    np.testing.assert_allclose(summary.mean + summary.ci95, high)
    # What the original programs print.
    np.testing.assert_allclose(summary.ci95, 1.96 * summary.std / 600**0.5, rtol=3e-3)
    assert summary.tasks == 600
    assert not summary.diverged.any()


def test_standard_deviation_is_the_populations():
    summary = summarize(np.array([[1.0], [3.0]]))
    assert summary.std == 1.0


def test_diverged_tasks_are_counted_and_not_left_out():
    values = np.array([[1.0, 2.0, 3.0], [1.0, np.inf, np.nan], [1.0, 2.0, np.inf]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        summary = summarize(values)
    assert summary.diverged.tolist() == [0, 1, 2]
    assert summary.mean[0] == 1.0
    assert np.isinf(summary.mean[1])
    assert np.isnan(summary.mean[2])


@pytest.mark.parametrize("shape", [(11,), (0, 11), (2, 3, 4)])
def test_values_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"\[tasks, steps \+ 1\]"):
        summarize(np.zeros(shape))


def test_csv_has_the_original_layout_and_a_first_column(tmp_path, losses):
    csv_path, _ = write(tmp_path / "new", losses)
    with open(csv_path, newline="") as file:
        header, *rows = list(csv.reader(file))
    assert header == ["statistic", *(f"update{i}" for i in range(11))]
    assert [row[0] for row in rows] == ["mean", "std", "ci95"]
    numbers = np.array([row[1:] for row in rows], np.float64)
    np.testing.assert_allclose(numbers[0], losses.mean(axis=0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(numbers[2], summarize(losses).ci95, rtol=1e-12)


def test_csv_of_classification_is_the_accuracy(tmp_path, losses):
    csv_path, _ = write(tmp_path, losses, np.full([600, 11], 0.25), "--datasource=omniglot")
    with open(csv_path, newline="") as file:
        assert next(csv.DictReader(file))["update10"] == "0.25"


def test_json_has_configuration_settings_and_every_value(tmp_path, losses):
    accuracies = np.round(np.random.default_rng(1).random([600, 11]) * 5) / 5
    command = "--datasource=omniglot --use_T --use_M --notrain --test_set --mask=mode"
    _, json_path = write(tmp_path, losses, accuracies, command)
    report = json.loads(json_path.read_text())
    run, _ = config_and_settings(command)
    assert report["method"] == "MT-net"
    assert report["configuration"] == json.loads(run.to_json())
    assert report["settings"]["mask"] == "mode"
    assert report["settings"]["split"] == "test"
    assert report["versions"] == VERSIONS
    np.testing.assert_array_equal(np.array(report["loss"]["per_task"], np.float32), losses)
    np.testing.assert_array_equal(report["accuracy"]["per_task"], accuracies)
    np.testing.assert_allclose(report["accuracy"]["mean"], stats.tmean(accuracies, axis=0))


def test_json_of_regression_has_no_accuracy(tmp_path, losses):
    assert "accuracy" not in json.loads(write(tmp_path, losses)[1].read_text())


def test_diverged_values_are_null_in_json_and_named_in_csv(tmp_path, losses):
    losses[3, 10] = np.inf
    losses[4, 10] = np.nan

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    csv_path, json_path = write(tmp_path, losses)
    report = json.loads(json_path.read_text(), parse_constant=refuse)
    assert report["loss"]["diverged"] == [0] * 10 + [2]
    assert report["loss"]["per_task"][3][10] is None
    assert report["loss"]["per_task"][4][10] is None
    assert report["loss"]["mean"][10] is None
    with open(csv_path, newline="") as file:
        assert next(csv.DictReader(file))["update10"] == "nan"


def test_a_failed_write_leaves_the_earlier_report(tmp_path, losses, monkeypatch):
    paths = write(tmp_path, losses)
    earlier = [path.read_bytes() for path in paths]

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path, losses + 1)
    assert [path.read_bytes() for path in paths] == earlier
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_table_is_aligned_and_marks_the_trained_step():
    five = summarize(np.array([[3.0, 1.0], [5.0, 1.0]]))
    ten = summarize(np.array([[30.0, 0.5], [30.0, 0.5]]))
    table = format_table([Column("5-shot", five), Column("10-shot", ten, paper="0.49 ± 0.05")], 1)
    assert table == (
        "| inner steps |         5-shot |        10-shot |\n"
        "| ----------- | -------------: | -------------: |\n"
        "| 0           | 4.000 ± 12.706 | 30.000 ± 0.000 |\n"
        "| 1 *         |  1.000 ± 0.000 |  0.500 ± 0.000 |\n"
        "| paper *     |                |    0.49 ± 0.05 |\n"
        "\n"
        "mean ± 95 % interval over 2 tasks; * the number of inner steps of training"
    )


def test_table_shows_accuracy_in_percent_and_no_empty_paper_row():
    summary = summarize(np.array([[0.2], [0.4], [0.6]]))
    table = format_table([Column("accuracy, %", summary, percent=True)], 0)
    assert "| 0 *         | 40.00 ± 49.68 |" in table
    assert "paper" not in table


def test_table_says_how_many_tasks_diverged_and_stays_narrow():
    values = np.array([[1e30, np.nan], [1e30, 1.0]])
    table = format_table([Column("loss", summarize(values))], 0)
    assert " 1e+30 ± 0.000 |" in table
    assert " nan (1 diverged) |" in table


def test_table_of_one_task_claims_no_interval():
    table = format_table([Column("accuracy, %", summarize(np.array([[0.8]])), percent=True)], 0)
    assert "| 0 *         |       80.00 |" in table


@pytest.mark.parametrize(
    ("command", "shot", "figure"),
    [
        ("--use_T --use_M", 5, "0.76 ± 0.09"),
        ("--use_T --use_M", 20, "0.33 ± 0.04"),
        ("--use_T", 10, "0.56 ± 0.06"),
        ("", 10, "0.71 ± 0.07"),
        ("--meta_sgd", 5, "0.88 ± 0.14"),
        ("--update_lr=10", 10, "171.92 ± 25.04"),
        ("--use_T --use_M --update_lr=0.0001", 10, "0.72 ± 0.07"),
        ("--update_lr=10", 5, None),
        ("--update_lr=0.02", 10, None),
        ("", 7, None),
        ("--update_batch_size=5", 5, None),
        ("--use_M", 10, None),
        ("--use_T --use_M --noshare_M", 10, None),
        ("--stop_grad", 10, None),
        ("--baseline=oracle", 10, None),
        ("--datasource=polynomial", 10, None),
        ("--datasource=omniglot --use_T --use_M", 1, "99.5 ± 0.3"),
        ("--datasource=omniglot --num_classes=20 --use_T --use_M", 1, "96.21 ± 0.35"),
        ("--datasource=omniglot --num_classes=20", 1, "95.8 ± 0.3"),
        ("--datasource=omniglot --meta_sgd", 1, "99.53 ± 0.26"),
        ("--datasource=omniglot --use_T", 1, None),
        ("--datasource=omniglot", 5, None),
        ("--datasource=omniglot --num_classes=10", 1, None),
        ("--datasource=omniglot --update_batch_size=5", 5, None),
        ("--datasource=miniimagenet --use_T", 1, "50.82 ± 0.69"),
        ("--datasource=miniimagenet --use_T --use_M", 1, "51.69 ± 0.70"),
        ("--datasource=miniimagenet --use_T --use_M --update_batch_size=5", 5, "64.08 ± 0.35"),
        ("--datasource=miniimagenet --use_T --update_batch_size=5", 5, None),
        ("--datasource=miniimagenet --num_classes=20", 1, None),
    ],
)
def test_paper_figure_is_of_the_same_experiment(command, shot, figure):
    assert paper_figure(config(command), shot) == figure


def test_tables_1_and_2_agree_where_they_overlap():
    for method in ("MAML", "MT-net"):
        assert paper.TABLE_1[method, 10] == paper.TABLE_2[method, 0.01]
