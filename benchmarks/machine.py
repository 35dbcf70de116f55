"""The machine: what it is and how fast it multiplies matrices."""

import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

SIZE = 2048


def describe() -> dict[str, Any]:
    """CPU, cores this process may use, GPUs, system, rate of single precision products."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "gpus": _gpus(),
        "system": platform.platform(),
        "sgemm_gflops": sgemm_gflops(),
    }


def sgemm_gflops(repeats: int = 8) -> float:
    """Best rate of a SIZE x SIZE product with NumPy, in GFLOP/s."""
    a, b = (np.random.RandomState(i).rand(SIZE, SIZE).astype(np.float32) for i in range(2))
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * SIZE**3 / best / 1e9


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _gpus() -> list[str]:
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.split("\n")[:-1]
    except OSError:
        return []
