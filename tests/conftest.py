"""The real data sets, from folders that the environment names."""

import os
from pathlib import Path

import utils.tensorflow_environment  # noqa: F401

import pytest

from data_generators import MiniImagenet, Omniglot


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
