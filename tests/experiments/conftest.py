from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf
from coloured_images import write_classes

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
    write_classes(root, classes=6, colors=(0, 255), noise=60)
    return root
