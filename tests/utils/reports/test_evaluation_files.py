import csv
import json
import os
from dataclasses import replace

import numpy as np
import pytest
from absl import flags
from scipy import stats

from utils.command.evaluation_flags import evaluation_settings
from utils.command.flags import config_from_flags, define, parse
from utils.reports.evaluation_files import earlier_settings, write_report
from utils.reports.summary import summarize

VERSIONS = {"tensorflow": "2.x"}


def config_and_settings(command=""):
    flag_values = define(flags.FlagValues())
    parse(["main.py", *command.split()], flag_values)
    config = config_from_flags(flag_values)
    return config, evaluation_settings(flag_values, config)


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


def test_what_an_evaluation_that_is_replaced_had_otherwise_is_known(tmp_path, losses):
    _, settings = config_and_settings()
    assert earlier_settings(tmp_path, "test", settings) == ""
    write(tmp_path, losses)
    assert earlier_settings(tmp_path, "test", settings) == ""
    other = replace(settings, num_tasks=10, num_steps=20)
    assert earlier_settings(tmp_path, "test", other) == "num_steps 10, num_tasks 600"
    (tmp_path / "test.json").write_text("{")
    assert earlier_settings(tmp_path, "test", other) == ""


def test_json_has_configuration_settings_and_every_value(tmp_path, losses):
    accuracies = np.round(np.random.default_rng(1).random([600, 11]) * 5) / 5
    command = "--datasource=omniglot --use_T --use_M --notrain --test_set --mask=mode"
    _, json_path = write(tmp_path, losses, accuracies, command)
    report = json.loads(json_path.read_text())
    run, _ = config_and_settings(command)
    assert report["method"] == "MT-net"
    assert report["configuration"] == run.to_dict()
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
