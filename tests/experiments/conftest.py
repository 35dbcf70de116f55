from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from experiments.runs import Folders


@pytest.fixture(scope="module")
def eagerly() -> Iterator[None]:
    """Compile nothing: for a few iterations of a small network that is several times faster."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def folders(tmp_path) -> Folders:
    """Empty ones of an experiment without images."""
    return Folders(records=tmp_path / "records", workdir=tmp_path / "work")


@pytest.fixture(scope="session")
def coloured_classes(tmp_path_factory) -> Path:
    """Six classes a split, of one colour each, with some noise."""
    root = tmp_path_factory.mktemp("coloured")
    random = np.random.RandomState(0)
    for split in ("train", "val", "test"):
        for label in range(6):
            folder = root / split / f"{split}{label}"
            folder.mkdir(parents=True)
            color = random.uniform(0, 255, size=3)
            for number in range(16):
                pixels = color + random.normal(scale=60, size=[84, 84, 3])
                image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
                image.save(folder / f"{number}.png")
    return root
