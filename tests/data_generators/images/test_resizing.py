"""Images resized in TensorFlow, against Pillow."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_generators import ImageInput
from data_generators.images.file_tree import FolderTree
from data_generators.images.resizing import resize


def pictures(height, width, channels):
    """Noise, which is the worst case, and edges between 0 and 255."""
    noise = np.random.default_rng(height).integers(256, size=[height, width, channels])
    return np.stack([noise, np.where(noise > 230, 255, 0)]).astype(np.uint8)


@pytest.mark.parametrize(
    ("height", "width", "side"),
    [(105, 105, 28), (480, 639, 84), (1, 3, 16), (10, 7, 28), (84, 200, 84), (30, 900, 28)],
)
def test_resized_as_by_pillow_but_for_rounding(height, width, side):
    images = pictures(height, width, 3)
    found = resize(tf.constant(images, tf.float32), side).numpy()
    expected = np.stack(
        [Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS) for image in images]
    )
    difference = np.abs(found - expected)
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 2e-3


def test_an_image_of_the_right_size_is_left_as_it_is():
    images = pictures(28, 28, 1)
    np.testing.assert_array_equal(resize(tf.constant(images, tf.float32), 28), images)


@pytest.mark.parametrize("ink_is_one", [False, True])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_become_what_their_file_becomes(tmp_path, channels, grey, ink_is_one):
    images = pictures(60, 50, channels)
    for number, image in enumerate(images):
        Image.fromarray(image[..., 0] if channels == 1 else image).save(tmp_path / f"{number}.png")
    image_input = ImageInput(20, grey=grey, ink_is_one=ink_is_one)
    tree = FolderTree(tmp_path)
    expected = np.stack([image_input.read(tree, f"{number}.png") for number in range(2)])
    found = image_input.of_pixels(tf.constant(images)).numpy()
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1.01 / 255
    assert np.mean(np.abs(found - expected) > 1e-6) < 2e-3
