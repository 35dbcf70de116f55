"""The cards say of every model what is on record."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from made_up import record

from experiments.miniimagenet.plan import table
from experiments.model_cards import CARDS, write_cards
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
    assert cards.count("- Accuracy: not measured, ") == cards.count("\n## ")
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


@pytest.mark.parametrize("text", ["{}", '{"configuration": {}}', '{"cells": []}'])
def test_a_record_of_another_form_is_named(pretrained, tmp_path, text):
    folder = tmp_path / "results" / "single_pictures"
    folder.mkdir(parents=True)
    (folder / "x.json").write_text(text)
    with pytest.raises(UsageError, match=r"x\.json is not of experiments\.single_pictures$"):
        write_cards(pretrained, tmp_path / "results")
