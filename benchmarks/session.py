"""All contestants of one workload, started, checked against ours and ready to be timed."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.check import Errors, gradient_errors, is_same
from benchmarks.contestants import ENTRIES
from benchmarks.exchange import random_weights
from benchmarks.worker_client import Worker, WorkerError
from benchmarks.workloads import Workload

REFERENCE = "ours"
BATCHES = 4  # that those who do not draw images themselves train on in turn
WEIGHT_SEED = 1


@dataclass(frozen=True)
class Interpreters:
    """Which Python has which frameworks.

    Attributes:
        ours: one for each stack to be timed.
        peers: with torch and jax.
    """

    ours: Sequence[str]
    peers: str

    def of(self, contestant: str) -> Sequence[str]:
        """Every interpreter that a contestant is run in."""
        return self.ours if ENTRIES[contestant].is_ours else [self.peers]


@dataclass
class Session:
    """The contestants of one workload.

    Attributes:
        workload: what they do.
        workers: those to be timed; the first is ours.
        gradient_errors: label -> for each checked batch the errors against the first.
        skipped: contestant -> why it did not start.
        refused: labels of those whose gradient differs; they are not timed.
    """

    workload: Workload
    workers: list[Worker] = field(default_factory=list)
    gradient_errors: dict[str, list[Errors]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


@contextmanager
def start(
    workload: Workload,
    contestants: Sequence[str],
    interpreters: Interpreters,
    data_path: str | None,
) -> Iterator[Session]:
    """Start the contestants that know a workload and check their gradients.

    Args:
        workload: what is to be timed.
        contestants: names in `ENTRIES`.
        interpreters: to run them in.
        data_path: Omniglot's files; None for synthetic images.

    Raises:
        WorkerError: ours does not start, or a contestant fails in the check.
        ValueError: two interpreters have the same versions, so their results would mix.
    """
    session = Session(workload)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        weights = folder / "weights.npz"
        np.savez(weights, **random_weights(workload, WEIGHT_SEED))

        def start_worker(python: str, name: str) -> Worker:
            return stack.enter_context(Worker(python, name, workload, weights, data_path))

        workers = [start_worker(python, REFERENCE) for python in interpreters.ours]
        for name in contestants:
            if name == REFERENCE or not ENTRIES[name].takes(workload):
                continue
            for python in interpreters.of(name):
                try:
                    workers.append(start_worker(python, name))
                except WorkerError as error:
                    session.skipped[name] = str(error)
        labels = [worker.label for worker in workers]
        if len(set(labels)) < len(labels):
            raise ValueError(f"--python_ours must have different versions, got {labels}")

        reference, *others = workers
        session.gradient_errors = gradient_errors(reference, others, folder)
        batches = [str(folder / f"batch{i}.npz") for i in range(BATCHES)]
        reference.draw(0, batches)
        for worker in workers:
            if worker is reference or is_same(session.gradient_errors[worker.label]):
                worker.use_batches(batches)
                session.workers.append(worker)
            else:
                worker.close()
                session.refused.append(worker.label)
        yield session
