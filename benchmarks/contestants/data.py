"""The project's data generators, for the contestants in TensorFlow."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from benchmarks.workloads import Workload
from data_generators import Episode, Omniglot, Sinusoid

CHARACTERS, DRAWINGS, SIDE = 1623, 20, 28
CACHE = "logs/benchmark-cache"


def episode_source(
    workload: Workload, data_path: str | None
) -> Callable[[int | tf.Tensor], Episode]:
    """Iteration number -> training episode, for Omniglot from its files or from noise.

    The noise has the shape of the real drawings and takes the same way through the generator.
    """
    if not workload.is_classification:
        source = Sinusoid()
    elif data_path is not None:
        source = Omniglot.load(data_path, CACHE, workload.way)
    else:
        shape = [CHARACTERS, DRAWINGS, SIDE, SIDE]
        images = np.random.RandomState(0).randint(0, 256, shape, np.uint8)
        source = Omniglot([f"A/{i:04d}" for i in range(CHARACTERS)], images, workload.way)
    return lambda iteration: source.episodes(
        "train", 0, iteration, tasks=workload.tasks, shot=workload.shot, query=workload.query
    )
