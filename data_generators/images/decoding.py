"""Image files to arrays."""

import io

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from data_generators.errors import DataError
from data_generators.images.file_tree import FileTree

CHANNELS = {"L": 1, "RGB": 3}


def read_image(tree: FileTree, name: str, mode: str, side: int) -> np.ndarray:
    """Read an image as a viewer shows it, convert it to `mode`, resize it to side x side (Lanczos).

    Returns:
        uint8 [side, side] for mode "L", [side, side, 3] for mode "RGB".

    Raises:
        DataError: the image is unreadable or truncated; the line names it.
    """
    data = tree.read(name)
    try:
        with Image.open(io.BytesIO(data)) as file:
            # Pillow resizes one-bit and palette images by nearest neighbor: convert first.
            image = _as_shown(file).convert(mode)
    except UnidentifiedImageError as error:  # Its text names an object in memory.
        raise DataError(
            f"cannot read the image {tree.root / name}: it has no format that Pillow knows"
        ) from error
    except Exception as error:  # Pillow's decoders raise whatever the damage leads them to.
        raise DataError(f"cannot read the image {tree.root / name}: {error}") from error
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _as_shown(image: Image.Image) -> Image.Image:
    """Turn upright what a camera stored lying, lay it on white, bring 16 bits to 8.

    Pillow's `convert` alone drops the transparency and cuts 16-bit values off at 255.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image
