"""Our meta-gradient against those of other frameworks, each in its own interpreter.

torch and jax are not among the project's requirements: BENCHMARK_PEERS_PYTHON names an interpreter
that has them (benchmarks/requirements.txt), by default this one.
"""

import os
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from benchmarks import session
from benchmarks.check import TOLERANCE, Errors, is_same, worst
from benchmarks.contestants import ENTRIES
from benchmarks.exchange import relative_errors
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
def lacks(module: str) -> bool:
    probe = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
    return subprocess.run([INTERPRETERS.peers, "-c", probe]).returncode != 0


@cache
def gradient_errors(kind: str) -> dict[str, Errors]:
    """All contestants of a workload at once, for our program starts only once then."""
    names = [
        name
        for other, name in PEERS
        if other == kind and (ENTRIES[name].is_ours or not lacks(ENTRIES[name].module_needed))
    ]
    checked = session.Session(small(kind))
    session.check(checked, names, INTERPRETERS, None)
    assert not checked.skipped
    return {label.split()[0]: errors for label, errors in checked.gradient_errors.items()}


@pytest.mark.parametrize(("kind", "peer"), PEERS)
def test_peer_computes_our_meta_gradient(kind: str, peer: str) -> None:
    entry = ENTRIES[peer]
    if not entry.is_ours and lacks(entry.module_needed):
        pytest.skip(f"no {entry.module_needed} in {INTERPRETERS.peers}: BENCHMARK_PEERS_PYTHON")
    tensor, error = worst(gradient_errors(kind)[peer])
    assert error <= TOLERANCE, tensor


def test_check_refuses_one_wrong_tensor() -> None:
    reference = {"kernel": np.ones([3, 3]), "bias": np.ones(3)}
    wrong = {"kernel": np.ones([3, 3]), "bias": np.array([1.0, 1.0, 1.0 + 1e-8])}
    assert not is_same(relative_errors(wrong, reference))
    assert is_same(relative_errors(reference, reference))


def test_check_refuses_nan() -> None:
    reference = {"bias": np.ones(3)}
    assert not is_same(relative_errors({"bias": np.full(3, np.nan)}, reference))


def test_those_that_pass_are_timed_on_the_first_ones_tasks() -> None:
    with session.start(
        small("sinusoid-mtnet"), ["tf-vectorized-map"], INTERPRETERS, None
    ) as started:
        assert [worker.contestant for worker in started.workers] == ["ours", "tf-vectorized-map"]
        assert all(worker.run(2)["milliseconds"] > 0 for worker in started.workers)
