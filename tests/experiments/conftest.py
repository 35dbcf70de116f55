from collections.abc import Iterator

import pytest
import tensorflow as tf

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
