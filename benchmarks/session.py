"""All contestants of one workload, started, checked against ours and ready to be timed."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.check import Errors, GradientCheck, is_same, save_weights
from benchmarks.contestants import ENTRIES
from benchmarks.worker_client import Worker, WorkerError
from benchmarks.workloads import Workload

REFERENCE = "ours"
BATCHES = 4  # that those who do not draw images themselves train on in turn


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
        gradient_errors: label -> the errors against ours in the first interpreter.
        skipped: contestant -> why it did not start.
        refused: labels of those whose gradient differs; they are not timed.
    """

    workload: Workload
    workers: list[Worker] = field(default_factory=list)
    gradient_errors: dict[str, Errors] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)


def check(
    session: Session,
    contestants: Sequence[str],
    interpreters: Interpreters,
    data_path: str | None,
) -> list[tuple[str, str]]:
    """Compare meta-gradients, one contestant's process after the other.

    Args:
        session: takes the errors, the skipped and the refused.
        contestants: names in `ENTRIES`.
        interpreters: to run them in.
        data_path: Omniglot's files; None for synthetic images.

    Returns:
        (interpreter, contestant) of all that are to be timed, ours first.

    Raises:
        WorkerError: ours does not start, or a contestant fails in the check.
        ValueError: two interpreters have the same versions, so their results would mix.
    """
    workload = session.workload
    entrants = [
        (python, name)
        for name in dict.fromkeys([REFERENCE, *contestants])
        if ENTRIES[name].takes(workload)
        for python in interpreters.of(name)
    ]
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "weights.npz")
        save_weights(weights, workload, "float64")
        with Worker(*entrants[0], workload, weights, data_path) as reference:
            labels = [reference.label]
            gradient = GradientCheck(reference, Path(folder))
        accepted = entrants[:1]
        for python, name in entrants[1:]:
            try:
                entrant = Worker(python, name, workload, weights, data_path)
            except WorkerError as error:
                if name == REFERENCE:
                    raise
                session.skipped[name] = str(error)
                continue
            with entrant as worker:
                labels.append(worker.label)
                session.gradient_errors[worker.label] = errors = gradient.errors(worker)
            if is_same(errors):
                accepted.append((python, name))
            else:
                session.refused.append(labels[-1])
    if len(set(labels)) < len(labels):
        raise ValueError(f"--python_ours must have different versions, got {labels}")
    return accepted


@contextmanager
def start(
    workload: Workload,
    contestants: Sequence[str],
    interpreters: Interpreters,
    data_path: str | None,
) -> Iterator[Session]:
    """Check the contestants that know a workload and start those that pass.

    See `check` for arguments and errors.
    """
    session = Session(workload)
    accepted = check(session, contestants, interpreters, data_path)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        weights = folder / "weights.npz"
        save_weights(weights, workload, "float32")
        for python, name in accepted:
            worker = Worker(python, name, workload, weights, data_path)
            session.workers.append(stack.enter_context(worker))
        batches = [str(folder / f"batch{i}.npz") for i in range(BATCHES)]
        session.workers[0].draw(0, batches)
        for worker in session.workers:
            worker.use_batches(batches)
        yield session
