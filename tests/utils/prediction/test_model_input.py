import json
import shutil
from pathlib import Path

import pytest

from data_generators import ImageInput
from maml_tnet.checksums import checksums
from tests.fixtures import NEWEST
from utils.errors import UsageError
from utils.prediction.loading import load_model
from utils.prediction.model_input import input_file, input_of

MODEL = NEWEST / "images-2way-1shot-mtnet-seed0" / "saved_model"
INPUT = {"size": 16, "grey": False, "ink_is_one": False}


@pytest.fixture
def model(tmp_path) -> Path:
    """A model of version 0.2.0, which wrote no checksums."""
    return shutil.copytree(MODEL, tmp_path / "model")


def with_checksums(model):
    names = [p.relative_to(model).as_posix() for p in model.rglob("*") if p.is_file()]
    (model / "SHA256SUMS").write_text(checksums(model, names))


def test_it_is_kept_beside_the_model(model):
    image_input = ImageInput(16, grey=False, ink_is_one=True)
    for name, text in input_file(image_input).items():
        (model / "assets.extra" / name).write_text(text)
    assert input_of(model) == image_input
    with_checksums(model)
    assert input_of(model) == image_input


@pytest.mark.parametrize(
    "text",
    [
        None,
        "{",
        "[]",
        '{"size": 28}',
        json.dumps(INPUT | {"size": "many"}),
        json.dumps(INPUT | {"size": None}),
        json.dumps(INPUT | {"size": True}),
        json.dumps(INPUT | {"size": 0}),
        json.dumps(INPUT | {"size": -16}),
        json.dumps(INPUT | {"size": 16.0}),
        json.dumps(INPUT | {"size": 10**9}),
        json.dumps(INPUT | {"grey": True}),
        json.dumps(INPUT | {"grey": 1}),
        json.dumps(INPUT | {"more": 1}),
        "[" * 10_000 + "]" * 10_000,
        '{"size": ' + "1" * 5_000 + "}",
    ],
)
def test_a_model_without_it_or_with_another_is_named(model, text):
    file = model / "assets.extra" / "input.json"
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    with pytest.raises(UsageError, match=f"--model={model} is not a classifier of images") as error:
        input_of(model)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


FILES = sorted(p.relative_to(MODEL).as_posix() for p in MODEL.rglob("*") if p.is_file())


@pytest.mark.parametrize("name", [*FILES, "SHA256SUMS"])
@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b[:20] + b"\1" + b[21:], None])
def test_damage_to_any_file_of_a_model_with_checksums_is_seen_before_it_is_loaded(
    model, name, change
):
    with_checksums(model)
    file = model / name
    if change:
        file.write_bytes(change(file.read_bytes()))
    else:
        file.unlink()
        if name == "SHA256SUMS":  # It is as if version 0.2.0 had written it.
            assert input_of(model) == ImageInput(**INPUT)
            return
    for read in (input_of, load_model):
        with pytest.raises(UsageError, match=f"--model={model}") as error:
            read(model)
        assert name in str(error.value)
        assert "\n" not in str(error.value)


def test_a_model_is_loaded_from_a_folder_whose_name_is_a_pattern(tmp_path):
    load_model(shutil.copytree(MODEL, tmp_path / "a [1]" / "model"))


def test_a_file_of_the_model_that_has_no_checksum_is_named(model):
    with_checksums(model)
    for name in (".DS_Store", "Thumbs.db", "._variables.index"):  # of file managers
        (model / "variables" / name).touch()
    assert input_of(model) == ImageInput(**INPUT)
    (model / "variables" / "variables.data-00001-of-00002").touch()
    with pytest.raises(UsageError, match=r"variables\.data-00001-of-00002 has no checksum"):
        input_of(model)
