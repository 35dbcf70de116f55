"""Class folders of made-up photographs, which can be told apart."""

from pathlib import Path

import numpy as np
from PIL import Image

IMAGES = 16  # of every class


def write_classes(root: Path, classes: int, colors: tuple[float, float], noise: float) -> None:
    """Write train/, val/ and test/, each with classes of 84 x 84 pixels of noise about a colour.

    Args:
        root: folder of the splits.
        classes: of every split.
        colors: least and largest value of a class's red, green and blue, of 255.
        noise: standard deviation of a pixel's values.
    """
    random = np.random.RandomState(0)
    for split in ("train", "val", "test"):
        for label in range(classes):
            folder = root / split / f"{split}{label}"
            folder.mkdir(parents=True)
            color = random.uniform(*colors, size=3)
            for number in range(IMAGES):
                pixels = color + random.normal(scale=noise, size=[84, 84, 3])
                image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
                image.save(folder / f"{number}.png")
