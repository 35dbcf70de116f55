"""The project's data generators, for the contestants in TensorFlow."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from benchmarks.workloads import Workload
from data_generators import Episode, MiniImagenet, Omniglot, Sinusoid
from maml_tnet.kernels import device

CHARACTERS, DRAWINGS = 1623, 20
CLASSES, PHOTOGRAPHS = 64, 20
CACHE = "logs/benchmark-cache"


def episode_source(
    workload: Workload, data_path: str | None
) -> Callable[[int | tf.Tensor], Episode]:
    """Iteration number -> training episode, for Omniglot from its files or from noise.

    The noise has the shape of the real images and takes the same way through the generator. There
    are only as many photographs as a benchmark needs.
    """
    source: Sinusoid | Omniglot | MiniImagenet
    if not workload.is_classification:
        source = Sinusoid()
    elif workload.datasource == "miniimagenet":
        pixels = _noise([CLASSES * PHOTOGRAPHS, *workload.image_shape])
        rows = np.arange(len(pixels)).reshape(CLASSES, PHOTOGRAPHS)
        classes = {str(i): own for i, own in enumerate(rows)}
        splits = {"train": classes, "val": {}, "test": {}}
        source = MiniImagenet("miniimagenet", splits, pixels, workload.way)
        source.device_bytes = device.forms().image_bytes
    elif data_path is not None:
        source = Omniglot.load(data_path, CACHE, workload.way)
    else:
        images = _noise([CHARACTERS, DRAWINGS, *workload.image_shape[:2]])
        source = Omniglot([f"A/{i:04d}" for i in range(CHARACTERS)], images, workload.way)
    return lambda iteration: source.episodes(
        "train", 0, iteration, tasks=workload.tasks, shot=workload.shot, query=workload.query
    )


def _noise(shape: list[int]) -> np.ndarray:
    return np.random.RandomState(0).randint(0, 256, shape, np.uint8)
