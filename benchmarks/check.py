"""The check before the clock: every contestant's meta-gradient against ours.

Two right programs round differently, and where a ReLU's input is 0 to rounding they then take
different branches; one such unit of some millions shows as an error of 1e-3 or more. So a few
batches of few tasks are compared, in most of which no unit is that close to 0: a contestant must
agree in one of them. A program that computes something else agrees in none.
"""

from pathlib import Path

from benchmarks.exchange import load_arrays, load_batch, relative_errors, save_batch
from benchmarks.worker_client import Worker

TOLERANCE = 1e-4
BATCHES = 4
TASKS = 2  # of each
SEED = 7

Errors = dict[str, float]
"""Name of a tensor -> the relative error of its gradient."""


def gradient_errors(
    reference: Worker, contestants: list[Worker], folder: Path
) -> dict[str, list[Errors]]:
    """Compare meta-gradients from the same weights, data and mask noise.

    Args:
        reference: a worker of "ours", which also draws the data.
        contestants: workers of the same workload that started from the same weights.
        folder: for the exchanged files.

    Returns:
        label -> the errors in each batch.
    """
    drawn = str(folder / "drawn.npz")
    reference.draw(SEED, [drawn])
    whole = load_batch(drawn)
    errors: dict[str, list[Errors]] = {worker.label: [] for worker in contestants}
    output = str(folder / "gradient.npz")
    for start in range(0, min(BATCHES * TASKS, len(whole.support_x)), TASKS):
        batch = str(folder / "check.npz")
        save_batch(batch, whole.tasks(start, start + TASKS))
        reference.meta_gradient(batch, output)
        expected = load_arrays(output)
        for worker in contestants:
            worker.meta_gradient(batch, output)
            errors[worker.label].append(relative_errors(load_arrays(output), expected))
    return errors


def worst(errors: Errors) -> tuple[str, float]:
    """The tensor that differs most and by how much."""
    return max(errors.items(), key=lambda item: item[1])


def decisive(batches: list[Errors]) -> tuple[str, float]:
    """`worst` of the batch that agrees best."""
    return min((worst(errors) for errors in batches), key=lambda item: item[1])


def is_same(batches: list[Errors]) -> bool:
    """Whether every tensor agrees to `TOLERANCE` in one of the batches."""
    return decisive(batches)[1] <= TOLERANCE
