import pytest

from experiments.runs import Folders


@pytest.fixture
def folders(tmp_path) -> Folders:
    """Empty ones of an experiment without images."""
    return Folders(records=tmp_path / "records", workdir=tmp_path / "work")
