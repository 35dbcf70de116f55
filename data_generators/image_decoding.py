"""Image files to arrays."""

import io

import numpy as np
from PIL import Image, UnidentifiedImageError

from data_generators.errors import DataError
from data_generators.file_tree import FileTree

CHANNELS = {"L": 1, "RGB": 3}


def read_image(tree: FileTree, name: str, mode: str, side: int) -> np.ndarray:
    """Read an image, convert it to `mode` and resize it to side x side (Lanczos).

    Returns:
        uint8 [side, side] for mode "L", [side, side, 3] for mode "RGB".

    Raises:
        DataError: the image is unreadable or truncated; the line names it.
    """
    data = tree.read(name)
    try:
        with Image.open(io.BytesIO(data)) as file:
            # Pillow resizes one-bit and palette images by nearest neighbor: convert first.
            image = file.convert(mode)
    except UnidentifiedImageError as error:  # Its text names an object in memory.
        raise DataError(
            f"cannot read the image {tree.root / name}: it has no format that Pillow knows"
        ) from error
    except Exception as error:  # Pillow's decoders raise whatever the damage leads them to.
        raise DataError(f"cannot read the image {tree.root / name}: {error}") from error
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image)
