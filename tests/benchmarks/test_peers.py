"""Our meta-gradient against those of other frameworks, each in its own interpreter.

torch and jax are not among the project's requirements: BENCHMARK_PEERS_PYTHON names an interpreter
that has them (benchmarks/requirements.txt), by default this one.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import session
from benchmarks.check import TOLERANCE, Errors, GradientCheck, is_same, save_weights, worst
from benchmarks.contestants import ENTRIES, load
from benchmarks.exchange import load_arrays, relative_errors
from benchmarks.worker import answer
from benchmarks.workloads import WORKLOADS, Workload

INTERPRETERS = session.Interpreters(
    [sys.executable], os.environ.get("BENCHMARK_PEERS_PYTHON", sys.executable)
)
SMALL = {
    "omniglot": {"tasks": 8, "units": 8, "shot": 2, "query": 3, "inner_steps": 2},
    "miniimagenet": {"tasks": 8, "units": 4, "query": 1, "inner_steps": 2},
    "sinusoid": {"tasks": 8, "units": 8, "inner_steps": 2},
}
KINDS = (
    "omniglot-5way-mtnet",
    "omniglot-5way-maml",
    "miniimagenet-5steps-mtnet",
    "sinusoid-mtnet",
    "sinusoid-maml",
)
PEERS = [
    (kind, name)
    for kind in KINDS
    for name, entry in ENTRIES.items()
    if entry.module != ENTRIES[session.REFERENCE].module and entry.takes(WORKLOADS[kind])
]


def small(kind: str) -> Workload:
    workload = WORKLOADS[kind]
    return replace(workload, **SMALL[workload.datasource])


@cache
def lacks(module: str, is_ours: bool = False) -> bool:
    if is_ours:
        return importlib.util.find_spec(module) is None
    probe = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
    return subprocess.run([INTERPRETERS.peers, "-c", probe]).returncode != 0


class Here(session.Worker):
    """A contestant in this process, where a `Worker` has one of its own."""

    def __init__(
        self,
        python: str,
        contestant: str,
        workload: Workload,
        weights: str | os.PathLike[str],
        data_path: str | None = None,
    ):
        self.contestant, self.label, self.versions = contestant, contestant, {}
        self._program = load(contestant)(workload, load_arrays(weights), data_path)

    def close(self) -> None:
        pass

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        return answer(self._program, request)


@pytest.fixture
def eagerly() -> Iterator[None]:
    """Compile nothing, which would take most of the time.

    A benchmark checks every contestant compiled, before it times it.
    """
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@cache
def errors_here(kind: str) -> dict[str, Errors]:
    """Of the contestants that need nothing but TensorFlow."""
    names = [
        name
        for other, name in PEERS
        if other == kind and ENTRIES[name].is_ours and not lacks(ENTRIES[name].module_needed, True)
    ]

    def here(name: str) -> Here:
        return Here(sys.executable, name, small(kind), weights)

    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "weights.npz")
        save_weights(weights, small(kind), "float64")
        check = GradientCheck(here(session.REFERENCE), Path(folder))
        return {name: check.errors(here(name)) for name in names}


@cache
def errors_of_processes(kind: str) -> dict[str, Errors]:
    """Of all other contestants that can be had, at once: our program starts only once then."""
    names = [
        name
        for other, name in PEERS
        if other == kind and not ENTRIES[name].is_ours and not lacks(ENTRIES[name].module_needed)
    ]
    checked = session.Session(small(kind))
    session.check(checked, names, INTERPRETERS, None)
    assert not checked.skipped
    return {label.split()[0]: errors for label, errors in checked.gradient_errors.items()}


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize(("kind", "peer"), PEERS)
def test_peer_computes_our_meta_gradient(kind: str, peer: str) -> None:
    entry = ENTRIES[peer]
    if lacks(entry.module_needed, entry.is_ours):
        pytest.skip(f"no {entry.module_needed} in {INTERPRETERS.peers}: BENCHMARK_PEERS_PYTHON")
    errors = errors_here if entry.is_ours else errors_of_processes
    tensor, error = worst(errors(kind)[peer])
    assert error <= TOLERANCE, tensor


def test_check_refuses_one_wrong_tensor() -> None:
    reference = {"kernel": np.ones([3, 3]), "bias": np.ones(3)}
    wrong = {"kernel": np.ones([3, 3]), "bias": np.array([1.0, 1.0, 1.0 + 1e-8])}
    assert not is_same(relative_errors(wrong, reference))
    assert is_same(relative_errors(reference, reference))


def test_check_refuses_nan() -> None:
    reference = {"bias": np.ones(3)}
    assert not is_same(relative_errors({"bias": np.full(3, np.nan)}, reference))


@pytest.mark.usefixtures("eagerly")
def test_those_that_pass_are_timed_on_the_first_ones_tasks(monkeypatch) -> None:
    monkeypatch.setattr(session, "Worker", Here)
    workload = replace(small("sinusoid-mtnet"), inner_steps=1)
    with session.start(workload, ["tf-vectorized-map"], INTERPRETERS, None) as started:
        assert [worker.contestant for worker in started.workers] == ["ours", "tf-vectorized-map"]
        assert all(worker.run(2)["milliseconds"] > 0 for worker in started.workers)


def test_a_process_times_its_iterations(tmp_path) -> None:
    workload = replace(small("sinusoid-maml"), inner_steps=1)
    save_weights(tmp_path / "weights.npz", workload, "float32")
    with session.Worker(sys.executable, "ours", workload, tmp_path / "weights.npz") as worker:
        assert worker.run(2)["milliseconds"] > 0
