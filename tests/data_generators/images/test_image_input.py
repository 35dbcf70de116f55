import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_generators import DataError, ImageInput
from data_generators.images.file_tree import FolderTree


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("ink_is_one", [False, True])
def test_an_image_is_resized_scaled_and_inverted(tmp_path, grey, ink_is_one):
    Image.new("RGB", (40, 30), (255, 255, 255)).save(tmp_path / "white.png")
    x = ImageInput(16, grey, ink_is_one).read(FolderTree(tmp_path), "white.png")
    assert x.shape == (16, 16, 1 if grey else 3)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, 0 if ink_is_one else 1)


def test_an_unreadable_image_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(DataError, match=r"cannot read the image .*a\.png"):
        ImageInput(16, True, False).read(FolderTree(tmp_path), "a.png")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ([2, 0, 5, 3], "must have a height and a width"),
        ([2, 5, 0, 1], "must have a height and a width"),
        ([0, 0, 0, 3], "must have a height and a width"),
        ([2, 5, 5, 4], "must have one channel, grey, or the three"),
        ([2, 5, 5, 2], "must have one channel, grey, or the three"),
    ],
)
def test_what_is_no_picture_is_refused_in_the_graph_too(shape, message):
    of_pixels = tf.function(ImageInput(16, True, True).of_pixels, autograph=False)
    images = tf.zeros(shape, tf.uint8)
    compiled = of_pixels.get_concrete_function(tf.TensorSpec([None] * 4, tf.uint8))
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        compiled(images)
    assert compiled(tf.zeros([0, 5, 5, 3], tf.uint8)).shape == (0, 16, 16, 1)


@pytest.mark.parametrize("grey", [True, False])
def test_pictures_of_one_row_or_column_are_those_of_equal_ones(grey):
    of_pixels = tf.function(ImageInput(16, grey, True).of_pixels, autograph=False)
    compiled = of_pixels.get_concrete_function(tf.TensorSpec([None] * 4, tf.uint8))
    row = np.random.default_rng(0).integers(0, 256, [2, 1, 300, 3], np.uint8)
    for one, axis in ((row, 1), (row.transpose(0, 2, 1, 3), 2)):
        found = compiled(tf.constant(one))
        expected = compiled(tf.constant(np.repeat(one, 5, axis)))
        np.testing.assert_allclose(found, expected, atol=1.01 / 255)
