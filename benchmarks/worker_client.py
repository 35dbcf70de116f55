"""The parent's side of a worker process."""

import json
import os
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from benchmarks.contestants import ENTRIES
from benchmarks.workloads import Workload

REPOSITORY = Path(__file__).resolve().parents[1]


class WorkerError(Exception):
    """A contestant cannot run; the text says which and why."""


class Worker:
    """A contestant in a process of its own; use it as a context manager.

    Args:
        python: the interpreter that has the contestant's framework.
        contestant: its name in `contestants.ENTRIES`.
        workload: what it is to do.
        weights: .npz of the weights it starts from, in whose precision it computes.
        data_path: folder of Omniglot's files; None for synthetic images of the same size.

    Raises:
        WorkerError: it does not start, for want of its framework for instance.
    """

    def __init__(
        self,
        python: str,
        contestant: str,
        workload: Workload,
        weights: str | os.PathLike[str],
        data_path: str | None = None,
    ):
        self.contestant = contestant
        self.workload = workload
        try:
            self._process = subprocess.Popen(
                [python, "-m", "benchmarks.worker"],
                cwd=REPOSITORY,
                env={**os.environ, **ENTRIES[contestant].environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        except OSError as error:
            raise WorkerError(f"{contestant}: cannot start {python}: {error}") from error
        setup = {
            "contestant": contestant,
            "workload": asdict(workload),
            "weights": os.fspath(weights),
            "data_path": data_path,
        }
        try:
            self.versions: dict[str, str] = {}
            ready = self._ask(setup)
        except WorkerError:
            self.close()
            raise
        self.versions = ready["versions"]
        self.label = f"{contestant} ({ready['package']} {self.versions[ready['package']]})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def use_batches(self, paths: list[str]) -> None:
        """Give it meta-batches to train on."""
        self._ask({"command": "use_batches", "paths": paths})

    def draw(self, seed: int, paths: list[str]) -> None:
        """Write meta-batches of its data source, with mask noise; only "ours" can."""
        self._ask({"command": "draw", "seed": seed, "paths": paths})

    def meta_gradient(self, batch: str, output: str) -> None:
        """Write one meta-gradient at the initial weights as .npz."""
        self._ask({"command": "gradient", "batch": batch, "output": output})

    def run(self, iterations: int) -> dict[str, Any]:
        """Do meta-iterations: {"milliseconds": of one of them, "peak_mb": resident so far}.

        The peak is None where it is not measured.
        """
        return self._ask({"command": "run", "iterations": iterations})

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(f"{self.contestant}: the worker process ended without an answer")
        reply = json.loads(line)
        if "error" in reply:
            raise WorkerError(f"{self.contestant} on {self.workload.name}: {reply['error']}")
        return reply
