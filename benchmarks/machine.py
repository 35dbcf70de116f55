"""The machine: what it is and how fast it multiplies matrices."""

import os
import platform
import re
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

SIZE = 2048
PROC = Path("/proc")  # Linux's
NO_PEAK = f"peak memory is not measured: this system has no {PROC}/PID/status that says it"


def describe() -> dict[str, Any]:
    """CPU, cores this process may use, GPUs, system, rate of single precision products."""
    return {
        "cpu": _cpu_model(),
        "cores": len(cores()),
        "gpus": _gpus(),
        "system": platform.platform(),
        "sgemm_gflops": sgemm_gflops(),
    }


def cores() -> set[int]:
    """Those that this process may use; all, where the system keeps no process to some."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def peak_megabytes(processes: Iterable[int]) -> float | None:
    """The largest resident sets so far of processes, added up; None where it is not measured."""
    sizes = []
    for process in processes:
        try:
            status = (PROC / str(process) / "status").read_text()
        except OSError:  # it has ended, or there is no such file on this system
            continue
        sizes += re.findall(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return sum(map(int, sizes)) / 1024 if sizes else None


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
    try:
        lines = (PROC / "cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.split("\n")[:-1]
    except OSError:
        return []
