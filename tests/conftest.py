"""The real data sets, from folders that the environment names."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import utils.tensorflow_environment  # noqa: F401

import pytest
from tensorflow import keras

from data_generators import MiniImagenet, Omniglot


@pytest.fixture(autouse=True, scope="module")
def graphs_go_with_their_module() -> Iterator[None]:
    """Compiled functions hold one another in circles: hundreds of MB until they are looked for."""
    yield
    keras.backend.clear_session()
    gc.collect()


def _path_from(variable: str) -> Path:
    if not os.environ.get(variable):
        pytest.skip(f"{variable} is not set")
    return Path(os.environ[variable])


@pytest.fixture(scope="session")
def omniglot_path() -> Path:
    return _path_from("OMNIGLOT_PATH")


@pytest.fixture(scope="session")
def photos_path() -> Path:
    return _path_from("PHOTOS_PATH")


@pytest.fixture(scope="session")
def omniglot_cache(omniglot_path, tmp_path_factory) -> str:
    """A cache folder that holds the resized drawings."""
    cache = str(tmp_path_factory.mktemp("omniglot_cache"))
    Omniglot.load(str(omniglot_path), cache, 5)
    return cache


@pytest.fixture(scope="session")
def photos_cache(photos_path, tmp_path_factory) -> str:
    """A cache folder that holds the photographs."""
    cache = str(tmp_path_factory.mktemp("photos_cache"))
    MiniImagenet.load(str(photos_path), cache, 5)
    return cache
