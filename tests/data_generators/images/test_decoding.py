"""Images come out as a viewer shows them."""

import numpy as np
import pytest
from PIL import Image

from data_generators.images.decoding import read_image
from data_generators.images.file_tree import FolderTree

SIDE = 8
LEFT_HALF = np.arange(SIDE) < SIDE // 2


def read(folder, image, mode="RGB", kind="png", **options):
    image.save(folder / f"x.{kind}", **options)
    return read_image(FolderTree(folder), f"x.{kind}", mode, SIDE)


def one_half(shade, rest, shape=(SIDE, SIDE)):
    """A grey image whose left half is `shade`."""
    return np.where(LEFT_HALF, shade, np.broadcast_to(rest, shape)).astype(np.uint8)


# How the EXIF specification says that the stored picture lies, and how NumPy turns it upright.
@pytest.mark.parametrize(
    ("orientation", "upright"),
    [(1, lambda x: x), (3, lambda x: x[::-1, ::-1]), (6, lambda x: x.T[:, ::-1])],
)
def test_a_camera_held_upright(tmp_path, orientation, upright):
    stored = one_half(255, 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = read(tmp_path, Image.fromarray(stored), "L", exif=exif)
    np.testing.assert_array_equal(found, upright(stored))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_ink_on_a_transparent_ground_is_seen(tmp_path, mode):
    alpha = one_half(255, 0)
    if mode == "P":
        image = Image.fromarray(one_half(1, 0)).convert("P")
        image.putpalette([0, 0, 0] * 2)
        options = {"transparency": 0}
    else:
        image, options = Image.new(mode, (SIDE, SIDE)), {}
        image.putalpha(Image.fromarray(alpha))
    np.testing.assert_array_equal(read(tmp_path, image, "L", **options), 255 - alpha)


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_sixteen_bits_keep_their_shades(tmp_path, kind, mode):
    shades = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE) * 1024 + 255
    found = read(tmp_path, Image.fromarray(shades), mode, kind)
    np.testing.assert_array_equal(found.reshape(SIDE, SIDE, -1)[..., 0], shades // 256)
