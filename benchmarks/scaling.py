"""How time and memory grow with tasks, way, shot and inner steps."""

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.workloads import WORKLOADS, Workload

BASE = replace(WORKLOADS["omniglot-5way-mtnet"], name="scaling", tasks=16)
VALUES = {
    "tasks": (8, 16, 32, 64, 128, 256, 512),
    "way": (2, 5, 10, 20),
    "shot": (1, 2, 5, 10),
    "inner_steps": (1, 2, 3, 5),
}


def workloads(quantity: str) -> Iterator[tuple[int, Workload]]:
    """The base workload (16 tasks, 5-way 1-shot MT-net, one step) with one quantity varied.

    There are as many queries per class as the shot, as in the recipes.
    """
    for value in VALUES[quantity]:
        changes = {quantity: value, "name": f"scaling-{quantity}-{value}"}
        if quantity == "shot":
            changes["query"] = value
        yield value, replace(BASE, **changes)
