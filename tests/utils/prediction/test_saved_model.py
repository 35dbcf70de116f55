"""Prediction with an exported model: folders in, classes and probabilities out."""

import json

import numpy as np
import pytest
from PIL import Image

from maml_tnet import ConvNet, MetaLearner, export
from utils.errors import UsageError
from utils.prediction.model_input import ModelInput
from utils.prediction.saved_model import find_model, predict
from utils.prediction.tasks import read_queries, read_support
from utils.reports.contact_sheet import plot_contact_sheet

INPUT = ModelInput(16, grey=False, ink_is_one=False)
COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Untrained, but inner steps tell plain colours apart."""
    return exported(tmp_path_factory.mktemp("model") / "saved_model", num_updates=60)


def exported(folder, num_updates):
    network = ConvNet((16, 16, 3), 3, num_filters=8, norm=None, flatten=True, use_transform=True)
    learner = MetaLearner(
        network,
        classification=True,
        sample_episode=lambda iteration: None,
        update_lr=0.05,
        num_updates=num_updates,
    )
    x = np.random.default_rng(0).random([1, 3, 16, 16, 3], np.float32)
    export(
        learner,
        folder,
        support_x=x,
        support_y=np.eye(3, dtype=np.float32)[np.newaxis],
        query_x=x,
        extra_files=INPUT.to_files(),
    )
    return folder


def plain(path, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 18), colour).save(path)


@pytest.fixture
def support(tmp_path):
    for name, colour in COLOURS.items():
        for i in range(2):
            plain(tmp_path / "support" / name / f"{i}.png", colour)
    return tmp_path / "support"


@pytest.fixture
def query(tmp_path):
    for name, colour in COLOURS.items():
        plain(tmp_path / "query" / f"like-{name}.bmp", colour)
    return tmp_path / "query"


def test_plain_colours_are_told_apart(model, support, query, tmp_path):
    examples = read_support(str(support), INPUT)
    assert examples.classes == ["blue", "green", "red"]
    assert examples.labels.tolist() == [0, 0, 1, 1, 2, 2]
    names, x = read_queries(str(query), INPUT)
    assert names == ["like-blue.bmp", "like-green.bmp", "like-red.bmp"]
    predictions = predict(model, examples, names, x)
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1, rtol=1e-5)
    assert predictions.labels.tolist() == [0, 1, 2]

    table = predictions.to_table().splitlines()
    assert [cell.strip() for cell in table[2].split("|")[1:3]] == ["like-blue.bmp", "blue"]
    data = json.loads(predictions.to_json())
    assert data["classes"] == examples.classes
    for row, answer in zip(predictions.probabilities, data["queries"], strict=True):
        assert answer["probabilities"] == pytest.approx(
            dict(zip(examples.classes, row, strict=True))
        )
        assert answer["probability"] == max(answer["probabilities"].values())

    plot_contact_sheet(tmp_path / "sheet.png", predictions)
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).reshape(-1, 3)
    for colour in COLOURS.values():
        assert np.any(np.all(pixels == colour, axis=1))


def test_other_numbers_of_support_images(model, support, query):
    plain(support / "red" / "another.png", COLOURS["red"])
    examples = read_support(str(support), INPUT)
    assert len(examples.names) == 7
    assert predict(model, examples, *read_queries(str(query), INPUT)).probabilities.shape == (3, 3)


def test_many_images_are_classified_in_equal_parts_and_the_first_are_drawn(
    support, tmp_path, caplog
):
    model = exported(tmp_path / "saved_model", num_updates=1)
    examples = read_support(str(support), INPUT)
    x = np.random.default_rng(0).random([202, 16, 16, 3], np.float32)
    predictions = predict(model, examples, [f"{i}.png" for i in range(202)], x)
    assert predictions.probabilities.shape == (202, 3)
    part = predict(model, examples, predictions.names[68:135], x[68:135])
    np.testing.assert_allclose(predictions.probabilities[68:135], part.probabilities, atol=1e-5)
    plot_contact_sheet(tmp_path / "sheet.png", predictions)
    assert "sheet.png shows the first 200 of 202" in caplog.text


def test_another_number_of_classes_is_refused(model, support, query):
    plain(support / "white" / "0.png", (255, 255, 255))
    with pytest.raises(UsageError, match=r"tells 3 classes apart, the support set has 4: blue"):
        predict(model, read_support(str(support), INPUT), *read_queries(str(query), INPUT))


def test_unreadable_images_are_named_counted_and_left_out(support, query, caplog):
    (support / "red" / "bad.png").write_bytes(b"text")
    (query / "bad.jpg").write_bytes(b"text")
    assert len(read_support(str(support), INPUT).names) == 6
    assert len(read_queries(str(query), INPUT)[0]) == 3
    assert "red/bad.png" in caplog.text
    assert "1 of 3 images are unreadable" in caplog.text
    assert "1 of 4 images are unreadable" in caplog.text


def test_a_class_without_a_readable_image_is_refused(support):
    for file in (support / "red").iterdir():
        file.write_bytes(b"text")
    with pytest.raises(UsageError, match="class red has no readable image"):
        read_support(str(support), INPUT)


def test_folders_that_do_not_fit_are_named(tmp_path, support):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=f"--support={tmp_path}/none is not a folder"):
        read_support(str(tmp_path / "none"), INPUT)
    with pytest.raises(UsageError, match=f"--support={tmp_path}/empty has no class folders"):
        read_support(str(tmp_path / "empty"), INPUT)
    with pytest.raises(UsageError, match=f"--query={tmp_path}/empty has no readable image"):
        read_queries(str(tmp_path / "empty"), INPUT)


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
