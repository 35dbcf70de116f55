"""The baselines of a table: trained, chosen, measured, gone on with."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from experiments.baselines import measuring
from experiments.baselines.document import accuracies, baselines_file, chosen, read_baselines
from experiments.baselines.fine_tuning import fine_tune
from experiments.baselines.measuring import finish_baselines, measure_baselines
from experiments.baselines.plan import BaselinesPlan
from experiments.documents import write_document
from experiments.experiment import Experiment
from experiments.record import HELD_OUT_TASKS
from experiments.runs import Folders
from system.errors import FileError
from utils.errors import UsageError

CONFIG = Experiment("", ("--datasource=miniimagenet", "--num_filters=2")).config
PLAN = BaselinesPlan(CONFIG, shots=(1, 5), test_tasks=6, validation_tasks=4, epochs=1)


@pytest.fixture(scope="module", autouse=True)
def short():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "STEP_SIZES", (0.01, 0.1))
        patch.setattr(measuring, "PART", 4)
        patch.setattr(measuring, "STEPS", (2, 5))
        yield


@pytest.fixture(scope="module")
def folders(coloured_classes, tmp_path_factory):
    root = tmp_path_factory.mktemp("baselines")
    return Folders(
        records=root / "results",
        workdir=root / "work",
        data_path=str(coloured_classes),
        cache_dir=str(root / "cache"),
    )


@pytest.fixture(scope="module")
def document(folders):
    finish_baselines(PLAN, folders)
    return json.loads(baselines_file(folders.records).read_text())


def kept(folders):
    """The folder of what is done."""
    (folder,) = folders.workdir.glob("baselines-*")
    return folder


def without_checksum(document):
    return {name: value for name, value in document.items() if name != "sha256"}


def test_every_task_is_measured_and_what_was_chosen_is_said(document, folders):
    assert not (kept(folders) / "training.npz").exists()
    found = accuracies(read_baselines(folders.records, PLAN), PLAN)
    assert list(found) == [
        "nearest_neighbour-1shot", "fine_tuning-1shot", "nearest_neighbour-5shot",
        "fine_tuning-5shot",
    ]  # fmt: skip
    for name, values in found.items():
        assert len(values) == 6
        np.testing.assert_array_equal(values, document[name]["accuracy"])
    lines = chosen(document, PLAN).splitlines()
    distance = document["nearest_neighbour-5shot"]["chosen on validation"]["distance"]
    assert f"- nearest neighbour, 5-shot: distance {distance}" in lines
    choice = document["fine_tuning-1shot"]["chosen on validation"]
    assert choice["step_size"] in (0.01, 0.1)
    assert choice["steps"] in (2, 5)
    assert "- fine-tuning, 1-shot: step_size {step_size}, steps {steps}".format(**choice) in lines


def test_baselines_that_were_stopped_go_on(document, folders, monkeypatch):
    monkeypatch.setattr(measuring, "train_features", lambda *_, **__: pytest.fail("trained"))
    for name in ("nearest_neighbour-5shot", "nearest_neighbour-5shot-4", "fine_tuning-1shot"):
        (kept(folders) / f"{name}.json").unlink()
    (kept(folders) / "fine_tuning-1shot-tried-1.json").unlink()
    tuned = []

    def tune(features, tasks, step_size, steps):
        tuned.append(step_size)
        return fine_tune(features, tasks, step_size, steps)

    monkeypatch.setattr(measuring, "fine_tune", tune)
    assert measure_baselines(PLAN, folders) == without_checksum(document)
    assert tuned == [0.1]  # what was tried and what was tested is not done again


def test_the_best_of_validation_is_chosen(document, folders):
    tried = [kept(folders) / f"fine_tuning-5shot-tried-{number}.json" for number in range(2)]
    means = [mean for file in tried for mean in json.loads(file.read_text())["means"]]
    assert [(c["step_size"], c["steps"]) for c, _ in means] == [
        (0.01, 2),
        (0.01, 5),
        (0.1, 2),
        (0.1, 5),
    ]
    best = max(mean for _, mean in means)
    assert [document["fine_tuning-5shot"]["chosen on validation"], best] in means


def test_a_damaged_baseline_is_named(document, folders):
    file = kept(folders) / "nearest_neighbour-1shot.json"
    content = file.read_text()
    file.write_text("{")
    with pytest.raises(FileError, match=r"nearest_neighbour-1shot\.json .*remove it"):
        measure_baselines(PLAN, folders)
    file.write_text(content)


def without_accuracy(result):
    return {name: value for name, value in result.items() if name != "accuracy"}


NAME = "nearest_neighbour-5shot"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda stored: {"mine": 1}, "it has no 'epochs'"),
        (lambda stored: stored | {NAME: []}, f"'{NAME}' must be an object"),
        (lambda stored: stored | {NAME: without_accuracy(stored[NAME])}, "it has no 'accuracy'"),
        (lambda stored: stored | {NAME: {"accuracy": [0.5]}}, r"'accuracy' must be numbers \[6\]"),
        (lambda stored: stored | {NAME: {"accuracy": [0.5] * 6}}, "it has no 'chosen on valid"),
        (lambda stored: stored | {"data": 1}, "'data' must be a string"),
    ],
)
def test_baselines_of_another_form_are_named(tmp_path, change, said):
    result = {"chosen on validation": {}, "accuracy": [0.5] * 6}
    names = [name for name, *_ in PLAN.results]
    stored = {"held_out_tasks": HELD_OUT_TASKS, "epochs": 1, **dict.fromkeys(names, result)}
    write_document(baselines_file(tmp_path), stored)
    assert read_baselines(tmp_path, PLAN) == stored
    write_document(baselines_file(tmp_path), change(stored))
    with pytest.raises(FileError, match=rf"baselines\.json is not what it should be: {said}"):
        read_baselines(tmp_path, PLAN)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("nearest_neighbour-1shot", {"accuracy": [0.5] * 6}),
        ("nearest_neighbour-1shot-4", {"accuracy": "0.5"}),
        ("nearest_neighbour-1shot-tried-0", {"means": [[{"distance": "manhattan"}, 0.5]]}),
        ("fine_tuning-1shot-tried-1", {"means": [[{"steps": 3}, 0.5]]}),
        ("fine_tuning-1shot-tried-1", {"means": [{}]}),
        ("fine_tuning-1shot-tried-1", {"means": []}),
    ],
)
def test_what_is_kept_of_another_form_is_named(document, folders, name, content):
    whole, file = "-".join(name.split("-")[:2]), kept(folders) / f"{name}.json"
    before = {path: path.read_bytes() for path in (file, kept(folders) / f"{whole}.json")}
    try:
        (kept(folders) / f"{whole}.json").unlink()
        write_document(file, content)
        with pytest.raises(FileError, match=rf"{name}\.json is not what it should be: "):
            measure_baselines(PLAN, folders)
    finally:
        for path, earlier in before.items():
            path.write_bytes(earlier)


def half(content):
    return content[: len(content) // 2]


@pytest.mark.parametrize("broken", [b"", b"junk", half])
def test_damaged_features_are_one_line(document, folders, broken):
    file = kept(folders) / "features.npz"
    content = file.read_bytes()
    file.write_bytes(broken(content) if callable(broken) else broken)
    with pytest.raises(UsageError, match=r"features\.npz does not hold the trained features") as e:
        measure_baselines(PLAN, folders)
    file.write_bytes(content)
    assert "\n" not in str(e.value)


def test_finished_baselines_are_not_trained_again(document, folders, monkeypatch):
    monkeypatch.setattr(measuring, "measure_baselines", lambda *_: pytest.fail("trained"))
    finish_baselines(PLAN, folders)


def test_baselines_on_earlier_tasks_count_as_missing(document, folders, tmp_path, monkeypatch):
    measured = without_checksum(document)
    earlier = dict(measured)
    del earlier["held_out_tasks"]
    elsewhere = replace(folders, records=tmp_path)
    write_document(baselines_file(tmp_path), earlier)
    assert read_baselines(tmp_path, PLAN) is None
    monkeypatch.setattr(measuring, "measure_baselines", lambda *_: measured)
    finish_baselines(PLAN, elsewhere)
    assert read_baselines(tmp_path, PLAN) == read_baselines(folders.records, PLAN)


def test_what_is_finished_is_not_of_other_data(document, folders, tmp_path):
    other = replace(folders, data_path=str(tmp_path / "data"))
    shutil.copytree(folders.data_path, other.data_path)
    shutil.copy(f"{other.data_path}/test/test0/0.png", f"{other.data_path}/test/test1/0.png")
    with pytest.raises(UsageError, match=r"baselines\.json was measured on other data: give that"):
        finish_baselines(PLAN, other)
