"""A short run of the form for single pictures, measured."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from PIL import Image

from data_generators.data_record import DataRecord
from experiments.documents import write_document
from experiments.single_pictures.calibration import (
    expected_calibration_error,
    margins,
    strangers_below,
)
from experiments.single_pictures.document import MEASURED, Results, check_page
from experiments.single_pictures.measuring import check_is_of_this_run, do, opened
from experiments.single_pictures.page import page
from experiments.single_pictures.pictures import Data
from experiments.single_pictures.plan import Plan
from maml_tnet.compat import tf_variable
from system.errors import FileError
from utils.command.flags import config_from_flags, define, parse
from utils.errors import UsageError
from utils.prediction.model_input import input_of
from utils.runs.assembly import build_learner, build_source
from utils.runs.checkpoints import Checkpoints
from utils.runs.folder import Run
from utils.runs.used_data import used_data

pytestmark = pytest.mark.usefixtures("two_blocks")

FLAGS = ("--datasource=omniglot", "--num_filters=4", "--metatrain_iterations=1")
PLAN = Plan(tasks=4, steps=1, shots=(1,), ways=(6,), domains=("dim",), fitted_ways=(3,))


def saved_run(folder, omniglot_path, cache, *arguments):
    """A run's folder with a checkpoint of weights that are not trained."""
    values = define(flags.FlagValues())
    parse(["main.py", *FLAGS, *arguments], values)
    config = config_from_flags(values)
    run = Run.named_by(config, str(folder))
    source = build_source(config, str(omniglot_path), cache)
    run.start(resume=True, data=used_data(source, str(omniglot_path), cache))
    learner = build_learner(config, source)
    Checkpoints(run, learner).save(7)
    return run.folder, learner


@pytest.fixture
def data(omniglot_path, omniglot_cache):
    return Data(str(omniglot_path), omniglot_cache)


@pytest.fixture
def outputs(tmp_path):
    """Of the results, and of the SavedModels."""
    return tmp_path / "results", tmp_path / "pretrained"


def test_pictures_of_the_other_kind_are_the_same_for_all_cells(tmp_path, capsys):
    values = define(flags.FlagValues())
    parse(["main.py", *FLAGS, "--queries=alone"], values)
    config = config_from_flags(values)
    head = dict.fromkeys(MEASURED)
    results = Results(tmp_path, config, PLAN, head)
    results.check_other("a", ["photographs"])
    file = tmp_path / f"{config.run_name}.json"
    cell = {"accuracy": [[0.5, 0.5]] * PLAN.tasks}
    write_document(file, head | {"trained_with": [], "cells": {"photographs": cell}})
    assert "other_data" not in json.loads(file.read_text())  # of version 0.6.0
    Results(tmp_path, config, PLAN, head).check_other("a", ["photographs"])
    assert "they are taken to be these" in capsys.readouterr().out
    results = Results(tmp_path, config, PLAN, head)
    results.check_other("a", ["photographs"])
    with pytest.raises(UsageError, match=r"was measured with other pictures of the other kind"):
        results.check_other("b", ["photographs"])
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cells": [1]}, "'cells' must be an object"),
        ({"cells": {"a": {}}}, "it has no 'accuracy'"),
        ({"cells": {"a": {"accuracy": [[0.5, 0.5]]}}}, r"'accuracy' must be numbers \[4, 2\]"),
        ({"validation": {"a": 1}}, r"'a' must be numbers \[4, 2\]"),
        ({"probabilities": {"a": {"temperature": 1}}}, "it has no 'calibration_error'"),
        ({"other_data": 1}, "'other_data' must be a string"),
    ],
)
def test_results_of_another_form_are_named(tmp_path, change, said):
    values = define(flags.FlagValues())
    parse(["main.py", *FLAGS, "--queries=alone"], values)
    config = config_from_flags(values)
    head = dict.fromkeys(MEASURED)
    file = tmp_path / f"{config.run_name}.json"
    write_document(file, head | {"trained_with": [], "cells": {}})
    Results(tmp_path, config, PLAN, head)
    write_document(file, head | {"trained_with": [], "cells": {}} | change)
    with pytest.raises(FileError, match=rf"{file.name} is not what it should be: {said}"):
        Results(tmp_path, config, PLAN, head)


def test_a_run_is_measured_cell_by_cell_and_goes_on(
    data, outputs, omniglot_path, omniglot_cache, tmp_path, capsys
):
    folder, learner = saved_run(tmp_path, omniglot_path, omniglot_cache, "--queries=alone")
    do(["ways"], folder, PLAN, data, *outputs)
    do(["steps", "ways", "domains", "probabilities", "model"], folder, PLAN, data, *outputs)
    measured = [line for line in capsys.readouterr().out.splitlines() if line[:8] == "measured"]
    names = ["6-way 1-shot, as trained", "5-way 1-shot, dim"]
    asked = f"the probabilities of {names[0]}"
    validated = "5-way 1-shot, as trained, on validation classes"
    assert measured == [f"measured {n}" for n in (names[0], validated, names[1], asked)]

    (file,) = (tmp_path / "results").glob("*.json")
    document = json.loads(file.read_text())
    cells = document["cells"]
    source = build_source(config_with_way(learner, folder, 6), str(omniglot_path), omniglot_cache)
    episode = source.held_out("test", np.arange(4), shot=1, query=2)
    answers = learner.adapt_and_predict(*episode[:3], 1)
    right = np.argmax(answers, -1) == np.argmax(episode.query_y, -1)
    stored = np.array(cells[names[0]]["accuracy"])[:, 1]
    assert np.mean(np.abs(stored - right.mean(axis=1))) < 0.03  # a query between two classes
    written = (tmp_path / "results" / "README.md").read_text()
    assert "after 7 iterations" in written
    assert f"| 1-shot | {100 * np.mean(stored):.2f} ± " in written
    assert input_of(tmp_path / "pretrained" / "drawings") == source.image_input
    listed = (tmp_path / "pretrained" / "README.md").read_text()
    assert "- `drawings`: MAML (queries alone), for any number of classes" in listed
    model = tmp_path / "pretrained" / "drawings"
    check_is_of_this_run(model, learner)
    check_is_of_this_run(model.with_name("new"), learner)
    kernel = tf_variable(learner.trainable_variables[0])
    kernel.assign_add(tf.ones_like(kernel))
    with pytest.raises(
        UsageError, match=r"drawings has other weights than this run, 'MAML .* 7 it"
    ):
        check_is_of_this_run(model, learner)
    kernel.assign_sub(tf.ones_like(kernel))

    # Tasks of twelve classes, of which the first six are learned.
    source = build_source(config_with_way(learner, folder, 12), str(omniglot_path), omniglot_cache)
    answers, strangers, labels = [], [], []
    for number in range(4):
        task = source.held_out("test", np.array([number]), shot=1, query=2)
        of_support, of_query = (np.argmax(y[0], -1) for y in (task.support_y, task.query_y))
        learned = np.eye(6, dtype=np.float32)[of_support[of_support < 6]]
        found = learner.adapt_and_predict(
            task.support_x[0][of_support < 6][np.newaxis], learned[np.newaxis], task.query_x, 1
        )[0].numpy()
        answers.append(found[of_query < 6])
        labels.append(of_query[of_query < 6])
        strangers.append(found[of_query >= 6])
    answers, strangers, labels = map(np.concatenate, (answers, strangers, labels))
    worth = document["probabilities"][names[0]]
    expected = expected_calibration_error(answers, labels)
    assert worth["calibration_error"] == pytest.approx(expected, abs=1e-3)
    below = strangers_below(margins(answers), margins(strangers))
    assert worth["strangers_below"] == pytest.approx(below, abs=1e-3)
    assert f"| 1-shot, as it is | {100 * expected:.1f} |" in written
    assert worth["steps"] == 1
    for_none = [[[1, 0], [1, 0], [1, 0.5]]] * 2  # validation tasks that are clearly for no steps
    of_none = document | {"validation": dict(zip("ab", for_none, strict=True))}
    without = page(Run.opened(folder).config, of_none, PLAN)
    assert "After 0 inner step(s), chosen on 4 validation tasks (trained with 1)" in without
    assert "What the probabilities are worth" not in without  # of another number of steps

    with pytest.raises(UsageError, match=r"\.json was measured with other tasks: name another"):
        do(["ways"], folder, replace(PLAN, tasks=5), data, *outputs)
    assert json.loads(file.read_text()) == document
    file.rename(file.with_name("another.json"))
    with pytest.raises(UsageError, match=r"has the page of another run, another\.json"):
        do(["ways"], folder, PLAN, data, *outputs)
    assert (tmp_path / "results" / "README.md").read_text() == written


def config_with_way(learner, folder, way):
    return replace(Run.opened(folder).config, num_classes=way)


def test_pictures_of_another_kind(data, outputs, omniglot_path, omniglot_cache, tmp_path, capsys):
    plan = replace(PLAN, tasks=3, domains_way=2)
    folder, _ = saved_run(tmp_path, omniglot_path, omniglot_cache, "--queries=alone")
    do(["other"], folder, plan, data, *outputs)
    assert capsys.readouterr().out == (
        "2-way 1-shot, photographs: left out, --other_path names no photographs\n"
    )
    # A class is one picture throughout, so that every query looks as its support does.
    shades = np.random.default_rng(0).integers(0, 256, [6, 12, 12, 3], np.uint8)
    for number, shade in enumerate(shades):
        class_folder = (
            tmp_path / "photographs" / ("train", "val", "test")[number % 3] / f"c{number}"
        )
        class_folder.mkdir(parents=True)
        for copy in range(6):
            Image.fromarray(shade).resize((90, 84), 0).save(class_folder / f"{copy}.png")
    with_others = replace(data, other_path=str(tmp_path / "photographs"))
    do(["other"], folder, plan, with_others, *outputs)
    (file,) = (tmp_path / "results").glob("*.json")
    cells = json.loads(file.read_text())["cells"]
    assert list(cells) == ["2-way 1-shot, photographs"]
    np.testing.assert_array_equal(cells["2-way 1-shot, photographs"]["accuracy"], np.ones([3, 2]))


def test_a_run_on_other_data_is_refused(data, outputs, omniglot_path, omniglot_cache, tmp_path):
    folder, _ = saved_run(tmp_path, omniglot_path, omniglot_cache, "--queries=alone")
    run = Run.opened(folder)
    noted = run.noted_data()
    classes = {split: dict(of) for split, of in noted.record.classes.items()}
    classes["test"].popitem()
    replace(noted, record=DataRecord(classes)).write(run.data_file)
    with pytest.raises(UsageError, match=r"belongs to a run on other data: .*; give that data"):
        do(["ways"], folder, PLAN, data, *outputs)
    assert not list((tmp_path / "results").glob("*.json"))


def test_a_run_of_the_papers_form_is_refused(
    data, outputs, omniglot_path, omniglot_cache, tmp_path
):
    folder, _ = saved_run(tmp_path, omniglot_path, omniglot_cache)
    with pytest.raises(UsageError, match=r"must be trained with --queries=alone"):
        opened(folder, data, PLAN)
    with pytest.raises(UsageError, match=r"no run in .*, or name its folder by --run$"):
        opened(tmp_path / "none", data, PLAN)


def test_classes_of_few_pictures_are_said_before_anything_is_measured(
    coloured_classes, outputs, tmp_path
):
    root = tmp_path / "few"
    for picture in coloured_classes.glob("*/*/[0-3].png"):
        place = root / picture.relative_to(coloured_classes)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.hardlink_to(picture)
    flags = ("--datasource=images", "--queries=alone", "--image_size=16", "--query_batch_size=2")
    folder, _ = saved_run(tmp_path, root, str(tmp_path / "cache"), *flags)
    few = Data(str(root), str(tmp_path / "cache"))
    plan = replace(PLAN, shots=(1, 3), ways=(5,))
    with pytest.raises(
        UsageError,
        match=rf"^--data_path={root} has too few pictures for steps,ways of --only, which must "
        "be left out: tasks of 5 classes with 3 support pictures each need 5 classes in train, val "
        "and test each, and 5 pictures of every class$",
    ):
        do(["steps", "ways", "other"], folder, plan, few, *outputs)
    assert not (tmp_path / "results").exists()
    do(["ways"], folder, replace(plan, shots=(1,)), few, *outputs)


def test_classes_that_a_run_has_learned_are_not_held_out(coloured_classes, outputs, tmp_path):
    root = tmp_path / "unsplit"  # by number of classes, of those that have pictures enough
    for number, folder in enumerate(sorted(coloured_classes.glob("*/*"))):
        for picture in sorted(folder.glob("*.png"))[: 3 if number % 2 else 5]:
            place = root / folder.name / picture.name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.hardlink_to(picture)
    flags = ("--datasource=images", "--queries=alone", "--image_size=16", "--query_batch_size=2")
    cache = str(tmp_path / "cache")
    folder, _ = saved_run(tmp_path, root, cache, *flags, "--num_classes=2")
    plan = replace(PLAN, shots=(3,), ways=(2,))
    with pytest.raises(UsageError, match=r"too few pictures for ways of --only, .* of every class"):
        do(["ways"], folder, plan, Data(str(root), cache), *outputs)


def test_the_page_of_another_run_is_not_replaced(tmp_path):
    (tmp_path / "mine.json").touch()
    check_page(tmp_path, "mine")
    with pytest.raises(
        UsageError, match=f"--output={tmp_path} has the page of another run, mine.j"
    ):
        check_page(tmp_path, "other")
