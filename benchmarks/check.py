"""The check before the clock: every contestant's meta-gradient against ours, in float64.

In float32 two right programs differ: where a ReLU's input is 0 to rounding, or the largest two of
a pool's inputs are equal to it, they take different branches, and one such unit of some millions
shows as an error of 1e-3. In float64 they agree to 1e-12, and one that computes something else does
not. A contestant computes in the precision of the weights that it is given.
"""

import os
from pathlib import Path

import numpy as np

from benchmarks.exchange import (
    Arrays,
    load_arrays,
    load_batch,
    random_weights,
    relative_errors,
    save_batch,
)
from benchmarks.worker_client import Worker
from benchmarks.workloads import Workload

TOLERANCE = 1e-9
TASKS = 2
SEED = 7
WEIGHT_SEED = 1

Errors = dict[str, float]
"""Name of a tensor -> the relative error of its gradient."""


def save_weights(path: str | os.PathLike[str], workload: Workload, dtype: str) -> None:
    """Write the weights that every contestant starts from, the same in either precision."""
    weights = random_weights(workload, WEIGHT_SEED)
    np.savez(path, **{name: value.astype(dtype) for name, value in weights.items()})


class GradientCheck:
    """A meta-batch and the meta-gradient that ours gives for it.

    Args:
        reference: a worker of "ours" with float64 weights, which also draws the batch.
        folder: for the exchanged files.
    """

    def __init__(self, reference: Worker, folder: Path):
        self._batch = str(folder / "check.npz")
        self._output = str(folder / "gradient.npz")
        reference.draw(SEED, [self._batch])
        save_batch(self._batch, load_batch(self._batch).tasks(0, TASKS).astype("float64"))
        self._expected = self._gradient(reference)

    def errors(self, worker: Worker) -> Errors:
        """Those of a worker of the same workload with the same float64 weights."""
        return relative_errors(self._gradient(worker), self._expected)

    def _gradient(self, worker: Worker) -> Arrays:
        worker.meta_gradient(self._batch, self._output)
        return load_arrays(self._output)


def worst(errors: Errors) -> tuple[str, float]:
    """The tensor that differs most and by how much."""
    return max(errors.items(), key=lambda item: item[1])


def is_same(errors: Errors) -> bool:
    """Whether every tensor agrees to `TOLERANCE`."""
    return worst(errors)[1] <= TOLERANCE
