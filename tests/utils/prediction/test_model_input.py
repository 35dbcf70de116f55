import numpy as np
import pytest
from PIL import Image

from data_generators import DataError
from data_generators.images.file_tree import FolderTree
from utils.command.flags import config_from_flags, define, parse
from utils.errors import UsageError
from utils.prediction.model_input import ModelInput


def config(*arguments):
    from absl import flags

    flag_values = define(flags.FlagValues())
    parse(["main.py", *arguments], flag_values)
    return config_from_flags(flag_values)


def test_drawings_are_inverted_and_photographs_are_not():
    omniglot = ModelInput.of(config("--datasource=omniglot"), (28, 28, 1))
    assert omniglot == ModelInput(28, grey=True, ink_is_one=True)
    photographs = ModelInput.of(config("--datasource=images"), (84, 84, 3))
    assert photographs == ModelInput(84, grey=False, ink_is_one=False)


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("ink_is_one", [False, True])
def test_an_image_is_resized_scaled_and_inverted(tmp_path, grey, ink_is_one):
    Image.new("RGB", (40, 30), (255, 255, 255)).save(tmp_path / "white.png")
    x = ModelInput(16, grey, ink_is_one).read(FolderTree(tmp_path), "white.png")
    assert x.shape == (16, 16, 1 if grey else 3)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, 0 if ink_is_one else 1)


def test_an_unreadable_image_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(DataError, match=r"cannot read the image .*a\.png"):
        ModelInput(16, True, False).read(FolderTree(tmp_path), "a.png")


def test_it_is_kept_beside_the_model(tmp_path):
    model_input = ModelInput(28, grey=True, ink_is_one=True)
    (tmp_path / "assets.extra").mkdir()
    for name, text in model_input.to_files().items():
        (tmp_path / "assets.extra" / name).write_text(text)
    assert ModelInput.beside(tmp_path) == model_input


@pytest.mark.parametrize("text", [None, "{", "[]", '{"size": 28}'])
def test_a_model_without_it_is_named(tmp_path, text):
    if text is not None:
        (tmp_path / "assets.extra").mkdir()
        (tmp_path / "assets.extra" / "input.json").write_text(text)
    with pytest.raises(UsageError, match=f"--model={tmp_path} is not a classifier of images"):
        ModelInput.beside(tmp_path)
