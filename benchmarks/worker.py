"""The process of one contestant, in the interpreter that has its framework.

One JSON object a line comes in on stdin and one goes out on stdout; whatever a library prints goes
to stderr. The first line out is {"ready": true, ...}. Commands:

    {"command": "use_batches", "paths": [...]}    -> {}
    {"command": "draw", "seed": s, "paths": [...]} -> {}        writes meta-batches (ours only)
    {"command": "gradient", "batch": path, "output": path} -> {}
    {"command": "run", "iterations": n}           -> {"milliseconds": per iteration, "peak_mb"}

"peak_mb" is null where the system does not say it.
"""

import importlib.metadata
import json
import multiprocessing
import os
import platform
import sys
import time
import traceback
from typing import Any

import utils.tensorflow_environment  # noqa: F401

import numpy as np

from benchmarks import exchange, machine
from benchmarks.contestants import ENTRIES, load
from benchmarks.workloads import Workload

FRAMEWORKS = ("tensorflow", "keras", "torch", "higher", "jax", "jaxlib", "numpy")


def versions() -> dict[str, str]:
    """Versions of Python and of the frameworks installed here."""
    found = {"python": platform.python_version()}
    for package in FRAMEWORKS:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def peak_megabytes() -> float | None:
    """Of this process and those that it started, added up; None where it is not measured."""
    children = (child.pid for child in multiprocessing.active_children() if child.pid)
    return machine.peak_megabytes([os.getpid(), *children])


def answer(contestant: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Do what one line asks for."""
    command = request["command"]
    if command == "use_batches":
        contestant.use_batches([exchange.load_batch(path) for path in request["paths"]])
    elif command == "draw":
        for i, path in enumerate(request["paths"]):
            exchange.save_batch(path, contestant.draw(i, request["seed"] + i))
    elif command == "gradient":
        gradient = contestant.meta_gradient(exchange.load_batch(request["batch"]))
        np.savez(request["output"], **gradient)
    elif command == "run":
        start = time.perf_counter()
        contestant.run(request["iterations"])
        seconds = time.perf_counter() - start
        return {"milliseconds": 1000 * seconds / request["iterations"], "peak_mb": peak_megabytes()}
    else:
        raise ValueError(f"unknown command {command!r}")
    return {}


def main() -> None:
    """Serve the contestant that the first line describes until stdin is closed."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def reply(values: dict[str, Any]) -> None:
        replies.write(json.dumps(values) + "\n")

    try:
        setup = json.loads(sys.stdin.readline())
        contestant = load(setup["contestant"])(
            Workload(**setup["workload"]),
            exchange.load_arrays(setup["weights"]),
            setup["data_path"],
        )
        package = ENTRIES[setup["contestant"]].package
        reply({"ready": True, "package": package, "versions": versions()})
        for line in sys.stdin:
            reply(answer(contestant, json.loads(line)))
    except Exception as error:
        if not isinstance(error, ImportError):  # of a framework that is not here
            traceback.print_exc()
        reply({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
