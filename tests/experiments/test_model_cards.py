"""The cards say of every model what is on record."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import record

from experiments import omniglot
from experiments.documents import write_document
from experiments.miniimagenet.plan import table
from experiments.model_cards import CARDS, write_cards
from system.errors import FileError
from utils.errors import UsageError

ROOT = Path(__file__).parents[2]
LINE = Path("assets.extra/README.md")


@pytest.fixture
def pretrained(tmp_path):
    """The lines beside the models, without these."""
    for line in (ROOT / "pretrained").glob(f"*/{LINE}"):
        copy = tmp_path / line.parents[1].name / LINE
        copy.parent.mkdir(parents=True)
        shutil.copy(line, copy)
    return tmp_path


def test_the_cards_are_up_to_date(pretrained):
    write_cards(pretrained, ROOT / "results")
    assert (pretrained / CARDS).read_text() == (ROOT / "pretrained" / CARDS).read_text()


def test_every_model_has_a_card():
    cards = (ROOT / "pretrained" / CARDS).read_text()
    models = sorted(line.parents[1].name for line in (ROOT / "pretrained").glob(f"*/{LINE}"))
    assert re.findall("^## (.+)$", cards, re.M) == models
    for name, card in zip(models, cards.split("\n## ")[1:], strict=True):
        for part in ("Data: ", "Accuracy: ", "Not for: "):
            assert f"\n- {part}" in card, (name, part)
        assert ("Trained with commit " in card) != ("not measured" in card), name
        page = re.search(r"\[table\]\(\.\./(.+?)\)", card)[1]
        assert (ROOT / page).is_file()


def test_the_accuracy_is_that_of_the_stored_tasks():
    cards = (ROOT / "pretrained" / CARDS).read_text()
    document = json.loads((ROOT / "results/omniglot/mtnet-5way.json").read_text())
    (tasks,) = (
        np.array(found["per_task"])[:, 1]
        for found in document["evaluations"]
        if (found["settings"]["split"], found["settings"]["mask"]) == ("test", "mode")
    )
    figure = f"{100 * tasks.mean():.2f} ± {196 * tasks.std(ddof=1) / np.sqrt(len(tasks)):.2f}"
    assert figure in cards.split("## omniglot-mtnet-5way\n")[1].split("\n## ")[0]


def test_a_model_of_miniimagenet_has_the_iterations_of_its_record(tmp_path):
    made = tmp_path / "pretrained" / "miniimagenet-maml-1shot" / LINE
    made.parent.mkdir(parents=True)
    made.write_text("MAML.\n")
    found = record(
        table(20_000).experiments["maml-1shot"], lambda _: np.full([4000, 11], 0.4), steps=range(11)
    )
    found.write(tmp_path / "results" / "miniimagenet")
    write_cards(tmp_path / "pretrained", tmp_path / "results")
    card = (tmp_path / "pretrained" / CARDS).read_text()
    assert "5-way 1-shot 40.00 ± 0.00 (all queries together, 4000 tasks)" in card
    assert "Data: miniImagenet (Vinyals et al., 2016)" in card


def test_without_a_record_nothing_is_claimed(pretrained, tmp_path):
    (tmp_path / "nothing").mkdir()
    write_cards(pretrained, tmp_path / "nothing")
    cards = (pretrained / CARDS).read_text()
    assert cards.count("- Accuracy: not measured.") == cards.count("\n## ")
    assert "Trained with" not in cards


def test_a_model_of_no_experiment_is_named(pretrained):
    (pretrained / "mine" / LINE).parent.mkdir(parents=True)
    (pretrained / "mine" / LINE).write_text("MAML.\n")
    with pytest.raises(UsageError, match="mine is of none of the experiments"):
        write_cards(pretrained, ROOT / "results")
    assert not (pretrained / CARDS).exists()


def test_a_folder_that_is_not_there_is_named(pretrained, tmp_path):
    for folders in ((tmp_path / "no", ROOT / "results"), (pretrained, tmp_path / "no")):
        with pytest.raises(UsageError, match=r"^--(pretrained|results)=.*/no is no folder$"):
            write_cards(*folders)
    assert not (tmp_path / "no").exists()


def test_a_model_of_ones_own_images_has_a_card_too(tmp_path):
    (tmp_path / "images" / LINE).parent.mkdir(parents=True)
    (tmp_path / "images" / LINE).write_text("MT-net (queries alone).\n")
    write_cards(tmp_path, ROOT / "results")
    card = (tmp_path / CARDS).read_text().split("\n## ")[1]
    assert card.startswith("images\n\nMT-net (queries alone).\n\n- Data: images of one's own")
    assert "- Accuracy: not measured.\n" in card


def test_versions_that_are_not_known_are_not_made_up(tmp_path):
    (tmp_path / "omniglot-maml-5way" / LINE).parent.mkdir(parents=True)
    (tmp_path / "omniglot-maml-5way" / LINE).write_text("MAML.\n")
    found = record(
        omniglot.EXPERIMENTS["maml-5way"], lambda _: np.full([600, 11], 0.4), steps=range(11)
    )
    # Weights of a SavedModel whose run and record are gone, trained on with an unknown TensorFlow.
    later = {"git_commit": "x", "python": "3.12"}
    found = replace(found, trained_with={}, went_on_with=[later])
    found.write(tmp_path / "results" / "omniglot")
    write_cards(tmp_path, tmp_path / "results")
    card = (tmp_path / CARDS).read_text()
    assert card.count("Trained with") == 1
    assert "- Trained with commit x, Python 3.12, TensorFlow unknown.\n" in card


CELLS = {
    "a": {"5-way 1-shot, as trained": {"accuracy": [[0.5]] * 4}},
    "b": {"5-way 1-shot, as trained": [0.5]},
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda _: [], "must hold an object, got a list"),
        (lambda _: {}, "is not what it should be: it has no 'configuration'"),
        (
            lambda stored: {"configuration": {}, "cells": {}},
            "configuration: field 'datasource' is missing",
        ),
        (lambda stored: stored | {"cells": []}, "'cells' must be an object"),
        (lambda stored: stored | {"cells": CELLS["a"]}, r"'accuracy' must be numbers \[4, 6\]"),
        (lambda stored: stored | {"cells": CELLS["b"]}, "must be an object"),
        (lambda stored: stored | {"tasks": "600"}, "'tasks' must be a whole number"),
        (lambda stored: stored | {"trained_with": {"python": "3"}}, "'trained_with' must be a l"),
        (lambda stored: stored | {"validation": {"a": [[1]]}}, "'a' must be numbers"),
        (lambda stored: stored | {"probabilities": {"a": {}}}, "it has no 'temperature'"),
    ],
)
def test_a_record_of_another_form_is_named(pretrained, tmp_path, change, said):
    stored = json.loads(next((ROOT / "results/single_pictures").glob("*.json")).read_text())
    stored = {key: value for key, value in stored.items() if key != "sha256"}
    stored |= {"tasks": 4, "cells": {}, "validation": {}, "probabilities": {}}
    folder = tmp_path / "results" / "single_pictures"
    folder.mkdir(parents=True)
    (folder / "x.json").write_text(json.dumps(stored))
    write_cards(pretrained, tmp_path / "results")
    (folder / "x.json").write_text(json.dumps(change(stored)))
    with pytest.raises(FileError, match=rf"x\.json .*{said}") as error:
        write_cards(pretrained, tmp_path / "results")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("configuration", [[], {"metatrain_iterations": "many"}])
def test_a_record_of_miniimagenet_of_another_form_is_named(pretrained, tmp_path, configuration):
    file = tmp_path / "results" / "miniimagenet" / "maml-1shot.json"
    write_document(file, {"configuration": configuration, "evaluations": []})
    with pytest.raises(FileError, match=r"maml-1shot\.json is not what it should be: "):
        write_cards(pretrained, tmp_path / "results")
