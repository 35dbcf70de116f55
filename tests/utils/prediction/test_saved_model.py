"""Prediction with an exported model: folders in, classes and probabilities out."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from plain_pictures import COLOURS, INPUT, plain

from maml_tnet import ConvNet, MetaLearner, export
from maml_tnet.losses import cross_entropy
from utils.errors import UsageError
from utils.prediction.model_input import input_file
from utils.prediction.saved_model import find_model, predict
from utils.prediction.tasks import read_task
from utils.reports.contact_sheet import plot_contact_sheet


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Untrained, but inner steps tell plain colours apart."""
    return exported(tmp_path_factory.mktemp("model") / "saved_model", num_updates=6)


def exported(folder, num_updates):
    network = ConvNet((16, 16, 3), 3, num_filters=8, flatten=True, use_transform=True)
    learner = MetaLearner(
        network,
        sample_episode=lambda iteration: None,
        update_lr=0.15,
        num_updates=num_updates,
    )
    learner.compile(loss=cross_entropy)
    x = np.random.default_rng(0).random([1, 3, 16, 16, 3], np.float32)
    export(
        learner,
        folder,
        support_x=x,
        support_y=np.eye(3, dtype=np.float32)[np.newaxis],
        query_x=x,
        extra_files=input_file(INPUT),
    )
    return folder


def test_plain_colours_are_told_apart(model, support, query, tmp_path):
    task = read_task(str(support), str(query), INPUT)
    assert task.classes == ["blue", "green", "red"]
    assert task.support_labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert task.query_names == ["like-blue.bmp", "like-green.bmp", "like-red.bmp"]
    predictions = predict(model, task)
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1, rtol=1e-5)
    assert predictions.labels.tolist() == [0, 1, 2]

    table = predictions.to_table().splitlines()
    assert [cell.strip() for cell in table[2].split("|")[1:3]] == ["like-blue.bmp", "blue"]
    data = json.loads(predictions.to_json())
    assert data["classes"] == task.classes
    for row, answer in zip(predictions.probabilities, data["queries"], strict=True):
        assert answer["probabilities"] == pytest.approx(dict(zip(task.classes, row, strict=True)))
        assert answer["probability"] == max(answer["probabilities"].values())

    plot_contact_sheet(tmp_path / "sheet.png", predictions)
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).reshape(-1, 3)
    for colour in COLOURS.values():
        assert np.any(np.all(pixels == colour, axis=1))


def test_other_numbers_of_support_images(model, support, query):
    plain(support / "red" / "another.png", COLOURS["red"])
    task = read_task(str(support), str(query), INPUT)
    assert len(task.support_x) == 7
    assert predict(model, task).probabilities.shape == (3, 3)


def test_many_images_are_classified_in_equal_parts_and_the_first_are_drawn(
    support, query, tmp_path, caplog
):
    model = exported(tmp_path / "saved_model", num_updates=1)
    x = np.random.default_rng(0).random([202, 16, 16, 3], np.float32)
    names = [f"{i}.png" for i in range(202)]
    task = replace(read_task(str(support), str(query), INPUT), query_names=names, query_x=x)
    predictions = predict(model, task)
    assert predictions.probabilities.shape == (202, 3)
    part = predict(model, replace(task, query_names=names[68:135], query_x=x[68:135]))
    np.testing.assert_allclose(predictions.probabilities[68:135], part.probabilities, atol=1e-5)
    plot_contact_sheet(tmp_path / "sheet.png", predictions)
    assert "sheet.png shows the first 200 of 202" in caplog.text


def test_another_number_of_classes_is_refused(model, support, query):
    plain(support / "white" / "0.png", (255, 255, 255))
    with pytest.raises(UsageError, match=r"tells 3 classes apart, the support set has 4: blue"):
        predict(model, read_task(str(support), str(query), INPUT))


def test_a_model_is_found_itself_or_in_its_run(model, tmp_path):
    assert find_model(str(model)) == model
    assert find_model(str(model.parent)) == model
    with pytest.raises(UsageError, match="--predict needs --model"):
        find_model(None)
    with pytest.raises(UsageError, match=f"--model={tmp_path} is neither a SavedModel nor"):
        find_model(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match=r"is a run without a SavedModel.*--export_dir"):
        find_model(str(tmp_path))
