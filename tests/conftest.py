"""The real data sets, from folders that the environment names."""

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import utils.tensorflow_environment  # noqa: F401

import pytest
from tensorflow import keras
from tensorflow.python.framework import ops
from two_processes import pytest_make_collect_report, pytest_runtestloop  # noqa: F401  (hooks)

from data_generators import MiniImagenet
from data_generators.images import omniglot
from data_generators.images.omniglot_files import Drawings
from maml_tnet import ConvNet


def pytest_collection_finish() -> None:
    """What is imported stays: without it, looking for what can go takes a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)  # a traced graph is as many objects, and none of them can go


@pytest.fixture(autouse=True, scope="module")
def graphs_go_with_their_module() -> Iterator[None]:
    """Compiled functions hold one another in circles: hundreds of MB until they are looked for.

    TensorFlow itself never lets go of a `tf.custom_gradient` in a graph: it registers its gradient
    under a name of its own, and with it the whole graph.
    """
    yield
    keras.backend.clear_session()
    registered = ops.gradient_registry._registry
    for name in [name for name in registered if name.startswith("CustomGradient-")]:
        del registered[name]
    gc.collect()
    gc.freeze()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)  # glibc keeps what was freed


@pytest.fixture(scope="module")
def two_blocks() -> Iterator[None]:
    """Let the networks of images have two of their four blocks, a first one and one that follows.

    Most of what a short run or a small check takes is TensorFlow's tracing, block by block.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConvNet, "blocks", 2)
        yield


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
def omniglot_cache(omniglot_path, tmp_path_factory) -> Iterator[str]:
    """A cache folder that holds the resized drawings, one for both of `two_processes`.

    A process reads them once: to list the files of the zips alone takes a second.
    """
    load_drawings = omniglot.load_drawings
    known = str(omniglot_path), str(tmp_path_factory.getbasetemp() / "omniglot_cache")
    drawings = load_drawings(*known)
    drawings.images.flags.writeable = False

    def load_once(data_path: str | None, cache_dir: str, **options: Any) -> Drawings:
        if (str(data_path), cache_dir) == known:
            return drawings
        return load_drawings(data_path, cache_dir, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(omniglot, "load_drawings", load_once)
        yield known[1]


@pytest.fixture(scope="session")
def photos_cache(photos_path, tmp_path_factory) -> str:
    """A cache folder that holds the photographs, one for both of `two_processes`."""
    cache = str(tmp_path_factory.getbasetemp() / "photos_cache")
    MiniImagenet.load(str(photos_path), cache, 5)
    return cache
