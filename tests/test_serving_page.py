"""docs/serving.md does what it says: from Python, as JSON, and as a TensorFlow Lite model."""

import io
import json
import re
import urllib.request

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from program import ROOT

from maml_tnet.adapted import export_adapted
from utils.prediction.model_input import input_of

PAGE = (ROOT / "docs" / "serving.md").read_text()
MODEL = ROOT / "pretrained" / "drawings"
INPUT = input_of(MODEL)
DTYPES = {"support_images": np.uint8, "support_labels": np.int32, "query_images": np.uint8}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the page's models and pictures are."""
    root = tmp_path_factory.mktemp("page")
    (root / "pretrained").symlink_to(ROOT / "pretrained")
    rng = np.random.default_rng(0)
    for name in re.findall(r'"(\w+\.png)"', PAGE):
        size = (40, 50, 3) if name[0] in "ab" else (33, 28, 3)
        Image.fromarray(rng.integers(256, size=size, dtype=np.uint8)).save(root / name)
    export_adapted(
        tf.saved_model.load(str(MODEL)),
        root / "MY_MODEL",
        support_x=tf.constant(rng.random([3, 28, 28, 1], np.float32)),
        support_y=tf.constant([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]),
        classes=["a", "b"],
        inputs_of=INPUT.of_pixels,
    )
    return root


@pytest.fixture(scope="module")
def in_python(folder):
    """The names that the page's first example leaves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        names = {}
        exec(compile(blocks("python")[0], "docs/serving.md", "exec"), names)
    return names


def served(model, body):
    """What TensorFlow Serving answers, by its documentation: columns in, columns out."""
    request = json.loads(body)
    assert set(request) == {"signature_name", "inputs"}
    inputs = {
        name: tf.constant(np.array(value, DTYPES[name]))
        for name, value in request["inputs"].items()
    }
    outputs = model.signatures[request["signature_name"]](**inputs)
    return {"outputs": {name: value.numpy().tolist() for name, value in outputs.items()}}


def test_in_python(in_python):
    task, answers = in_python["task"], in_python["answers"]
    assert answers["classes"].numpy().tolist() == [7, 9]
    expected = in_python["model"].signatures["serving_default"](
        support_x=INPUT.of_pixels(tf.constant(task["support_images"]))[tf.newaxis],
        support_y=tf.constant([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]]),
        query_x=INPUT.of_pixels(tf.constant(task["query_images"]))[tf.newaxis],
    )["predictions"][0]
    np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-5)
    likeliest = np.array([7, 9])[np.argmax(expected, axis=1)]
    assert answers["class"].numpy().tolist() == likeliest.tolist()


def test_the_request_in_json(in_python):
    (body,) = blocks("json")
    outputs = served(in_python["model"], body)["outputs"]
    assert outputs["classes"] == [0, 1]
    assert outputs["class"] == [int(np.argmax(outputs["probabilities"][0]))]
    assert np.sum(outputs["probabilities"]) == pytest.approx(1, abs=1e-5)


def test_a_request_from_python_has_the_same_answers(in_python, monkeypatch, capsys):
    def urlopen(request):
        assert request.full_url == "http://localhost:8501/v1/models/drawings:predict"
        assert request.get_method() == "POST"
        return io.StringIO(json.dumps(served(in_python["model"], request.data)))

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    names = dict(in_python)
    exec(compile(blocks("python")[1], "docs/serving.md", "exec"), names)
    for name, value in in_python["answers"].items():
        np.testing.assert_allclose(names["outputs"][name], value, atol=1e-6)


def test_what_was_learned_answers_the_same_as_a_tensorflow_lite_model(
    in_python, folder, monkeypatch
):
    monkeypatch.chdir(folder)
    names = dict(in_python)
    exec(compile(blocks("python")[2], "docs/serving.md", "exec"), names)
    signature = tf.saved_model.load("MY_MODEL").signatures["serving_default"]
    expected = signature(images=tf.constant(in_python["task"]["query_images"]))
    np.testing.assert_allclose(names["seen"]["probabilities"], expected["probabilities"], atol=1e-5)
    for name in ("class", "classes"):
        assert names["seen"][name].tolist() == expected[name].numpy().tolist()


def test_learning_as_a_tensorflow_lite_model_has_the_same_answers(in_python, folder, monkeypatch):
    monkeypatch.chdir(folder)
    names = dict(in_python)
    try:
        exec(compile(blocks("python")[3], "docs/serving.md", "exec"), names)
    except RuntimeError as error:
        if "Select TensorFlow op" not in str(error):
            raise
        pytest.skip(f"this TensorFlow's interpreter lacks the select operations: {error}")
    for name, value in in_python["answers"].items():
        np.testing.assert_allclose(names["on_the_phone"][name], value, atol=1e-5)
