import pytest

from data_generators import ImageInput
from utils.errors import UsageError
from utils.prediction.model_input import input_file, input_of


def test_it_is_kept_beside_the_model(tmp_path):
    image_input = ImageInput(28, grey=True, ink_is_one=True)
    (tmp_path / "assets.extra").mkdir()
    for name, text in input_file(image_input).items():
        (tmp_path / "assets.extra" / name).write_text(text)
    assert input_of(tmp_path) == image_input


@pytest.mark.parametrize("text", [None, "{", "[]", '{"size": 28}'])
def test_a_model_without_it_is_named(tmp_path, text):
    if text is not None:
        (tmp_path / "assets.extra").mkdir()
        (tmp_path / "assets.extra" / "input.json").write_text(text)
    with pytest.raises(UsageError, match=f"--model={tmp_path} is not a classifier of images"):
        input_of(tmp_path)
