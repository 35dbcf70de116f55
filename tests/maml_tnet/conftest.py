import numpy as np
import pytest

from maml_tnet.kernels import device


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(params=["grouped convolutions", "task by task"])
def convolution_kind(request, monkeypatch) -> None:
    """As this machine's TensorFlow can, and as one can that has no oneDNN."""
    if request.param == "task by task":
        monkeypatch.setattr(device, "groups_have_gradients", lambda dtype: False)
