"""A model that has learned a user's classes, from their folders to its answers."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import program
import pytest
import tensorflow as tf
from PIL import Image
from plain_pictures import COLOURS, INPUT, plain

from maml_tnet import verify_export
from maml_tnet.adapted import export_adapted
from maml_tnet.checksums import checksums
from utils.errors import UsageError
from utils.prediction.adapted import adapted_folder, learned_classes, save_adapted
from utils.prediction.model_input import input_of
from utils.prediction.saved_model import predict, predict_learned
from utils.prediction.tasks import read_queries, read_support

CLASSES = ["blue", "green", "red"]


@pytest.fixture(scope="module")
def learned(any_way, tmp_path_factory):
    """The folder of a model that has learned two shades of each of three colours."""
    root = tmp_path_factory.mktemp("learned")
    for name, colour in COLOURS.items():
        for i in range(2):
            shade = tuple(number * (4 - i) // 4 for number in colour)
            plain(root / "support" / name / f"{i}.png", shade)
    support = read_support(str(root / "support"), INPUT)
    save_adapted(any_way, support, INPUT, root / "model")
    return root / "model", support


def test_it_answers_as_the_model_that_it_comes_from(learned, any_way, query):
    folder, support = learned
    queries = read_queries([str(query)], INPUT)
    found = predict_learned(folder, learned_classes(folder), queries)
    expected = predict(any_way, support, queries)
    assert found.classes == expected.classes == CLASSES
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
    assert input_of(folder) == INPUT
    assert "assets.extra/classes.json" in verify_export(folder)


def test_pictures_go_in_and_names_come_out(learned, query):
    folder, _ = learned
    expected = predict_learned(folder, CLASSES, read_queries([str(query)], INPUT))
    pictures = np.stack([np.asarray(Image.open(file)) for file in sorted(query.iterdir())])
    answers = tf.saved_model.load(str(folder)).signatures["serving_default"](
        images=tf.constant(pictures)
    )
    np.testing.assert_allclose(answers["probabilities"], expected.probabilities, atol=1e-5)
    names = [CLASSES[label] for label in expected.labels]
    assert [name.decode() for name in answers["class"].numpy()] == names
    assert [[n.decode() for n in row] for row in answers["classes"].numpy()] == [CLASSES] * 3


def test_a_model_is_saved_anew_or_over_one_that_has_learned(learned, any_way, tmp_path):
    assert adapted_folder(str(tmp_path / "new")) == tmp_path / "new"
    assert adapted_folder(str(learned[0])) == learned[0]
    with pytest.raises(UsageError, match=f"--save_adapted={any_way} is a model that has learned"):
        adapted_folder(str(any_way))
    with pytest.raises(UsageError, match=f"--save_adapted={tmp_path} exists and is not a SavedM"):
        adapted_folder(str(tmp_path))


def test_what_the_papers_form_learns_is_not_saved(model, support, tmp_path):
    with pytest.raises(UsageError, match=r"--save_adapted cannot save .* has the paper's form"):
        save_adapted(model, read_support(str(support), INPUT), INPUT, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("names", [["a", "b", "c"], ["a", "a"], ["a"]])
def test_every_class_has_a_name_of_its_own(names, tmp_path):
    with pytest.raises(
        ValueError, match="classes must be 2 names that differ, one for each column"
    ):
        export_adapted(
            None,
            tmp_path / "none",
            support_x=np.zeros([2, 16, 16, 1]),
            support_y=np.eye(2),
            classes=names,
            inputs_of=lambda images: images,
        )


def test_a_model_that_has_not_learned_has_no_classes(model):
    assert learned_classes(model) is None


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"classes": 3}', '{"classes": ["a", 2]}'])
def test_damaged_classes_are_named(learned, tmp_path, text):
    folder = shutil.copytree(learned[0], tmp_path / "model")
    file = folder / "assets.extra" / "classes.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"model .*is damaged: .*classes\.json") as error:
        learned_classes(folder)
    assert "\n" not in str(error.value)
    names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    (folder / "SHA256SUMS").write_text(checksums(folder, set(names) - {"SHA256SUMS"}))
    with pytest.raises(UsageError, match=f"--model={folder} is damaged: {file}"):
        learned_classes(folder)
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(UsageError, match="has no checksum in SHA256SUMS"):
        learned_classes(folder)


def test_another_number_of_classes_than_answers_is_damage(learned, query, tmp_path):
    file = learned[0] / "assets.extra" / "classes.json"
    assert json.loads(file.read_text()) == {"classes": CLASSES}
    with pytest.raises(UsageError, match="answers with values that are no probabilities"):
        predict_learned(learned[0], CLASSES[:2], read_queries([str(query)], INPUT))


def test_the_program_learns_once_and_classifies_often(
    any_way, support, query, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    learning = ("--predict", f"--model={any_way}", f"--support={support}", "--save_adapted=learned")
    assert program.run(*learning) == 0
    assert capsys.readouterr().err.splitlines()[-1] == "wrote learned"
    assert not Path("prediction.png").exists()
    asking = ("--predict", "--model=learned", f"--query={query}")
    assert program.run(*asking, "--json") == 0
    answers = json.loads(capsys.readouterr().out)
    assert answers["classes"] == CLASSES
    assert [answer["image"] for answer in answers["queries"]] == sorted(os.listdir(query))
    assert Path("prediction.png").is_file()
    assert program.run(*asking, f"--support={support}") == 2
    assert "has learned its classes, blue, green, red: leave" in capsys.readouterr().err
