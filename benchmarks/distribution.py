"""Worker processes of one core each against one process: `python -m benchmarks.distribution`.

Three teams train the same meta-batches in turn, in one run: one process on one core; two workers of
`--distribute=multiworker` on one core each; one process on both cores, which is what a user of one
machine has. Each keeps its processes, which are compiled before the clock starts. Then, on paper,
how many workers pay over a network, from the bytes of the gradients and the time of one task.
"""

import argparse
import json
import os
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import utils.tensorflow_environment  # noqa: F401

from benchmarks import machine
from benchmarks.arguments import number
from benchmarks.worker_client import WorkerError
from benchmarks.workloads import WORKLOADS

TEAMS = {"1 worker of 1 core": [{0}], "2 workers of 1 core": [{0}, {1}], "1 process": [{0, 1}]}
GIGABITS = (1, 10, 100)
META_BATCHES = (32, 512)
# A network pays as long as workers spend so much of their time on tasks.
EFFICIENCY = 0.8
ENDED = "a worker has ended; see what it said"


def serve(workload_name: str) -> None:
    """In a worker's process: answer numbers of iterations with the milliseconds that they took."""
    import tensorflow as tf
    from tensorflow import keras

    from benchmarks.contestants.data import episode_source
    from maml_tnet import ConvNet, MetaLearner
    from maml_tnet.losses import cross_entropy
    from utils.runs.datasets import training_spans

    workload = WORKLOADS[workload_name]
    several = "TF_CONFIG" in os.environ
    strategy: Any = tf.distribute.get_strategy()
    if several:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    with ExitStack() as stack:
        if several:
            stack.enter_context(strategy.scope())
        network = ConvNet(
            workload.image_shape,
            workload.way,
            num_filters=workload.units,
            max_pool=workload.max_pool,
            flatten=workload.max_pool,
            use_transform=workload.is_mtnet,
            mask_per="unit" if workload.is_mtnet else None,
        )
        learner = MetaLearner(
            network,
            sample_episode=episode_source(workload, None),
            update_lr=workload.alpha,
            num_updates=workload.inner_steps,
        )
        learner.compile(keras.optimizers.Adam(1e-3), loss=cross_entropy, jit_compile=False)
    size = sum(int(tf.size(v)) for v in learner.trainable_variables)
    print(json.dumps(4 * size), flush=True)
    done = 0
    for line in sys.stdin:
        iterations = int(line)
        start = time.perf_counter()
        learner.fit(training_spans([(done, done + iterations)]), verbose=0)
        print(json.dumps(1000 * (time.perf_counter() - start)), flush=True)
        done += iterations


class Team:
    """Processes that train one learner together; a context manager, after which none is left.

    Attributes:
        gradient_bytes: of one exchange.

    Raises:
        WorkerError: one of them has ended, for which the others would wait.
        OSError: one cannot be started.
    """

    def __init__(self, workload: str, cores: Sequence[set[int]]):
        self._workload = workload
        self._cores = cores

    def __enter__(self) -> "Team":
        with ExitStack() as on_failure:
            self._processes: list[subprocess.Popen[str]] = []
            on_failure.callback(self._end)
            self._start()
            self.gradient_bytes = int(self._answers()[0])
            on_failure.pop_all()
        return self

    def __exit__(self, *_: Any) -> None:
        self._end()

    def run(self, iterations: int) -> float:
        """Milliseconds of an iteration, of the slowest process."""
        for process in self._processes:
            assert process.stdin is not None  # noqa: S101
            try:
                print(iterations, file=process.stdin, flush=True)
            except BrokenPipeError as error:
                raise WorkerError(ENDED) from error
        return max(self._answers()) / iterations

    def _start(self) -> None:
        with ExitStack() as stack:
            sockets = [stack.enter_context(socket.create_server(("", 0))) for _ in self._cores]
            addresses = [f"localhost:{s.getsockname()[1]}" for s in sockets]
        for index, cores in enumerate(self._cores):
            task = {"type": "worker", "index": index}
            config = json.dumps({"cluster": {"worker": addresses}, "task": task})
            command = [sys.executable, "-m", "benchmarks.distribution", "--serve", self._workload]
            process = subprocess.Popen(
                ["taskset", "-c", _listed(cores), *command],
                env=os.environ | ({"TF_CONFIG": config} if len(self._cores) > 1 else {}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self._processes.append(process)

    def _end(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.communicate()

    def _answers(self) -> list[float]:
        """A line of each process, in whichever order they come."""
        lines: dict[int, str] = {}
        with selectors.DefaultSelector() as selector:
            for index, process in enumerate(self._processes):
                assert process.stdout is not None  # noqa: S101
                selector.register(process.stdout, selectors.EVENT_READ, index)
            while len(lines) < len(self._processes):
                for key, _ in selector.select():
                    selector.unregister(key.fileobj)
                    lines[key.data] = self._processes[key.data].stdout.readline()
                    if not lines[key.data]:
                        raise WorkerError(ENDED)
        return [json.loads(lines[index]) for index in range(len(lines))]


def workers_that_pay(task_ms: float, tasks: int, size: int, gigabits: float) -> int:
    """The most workers, a power of two, that spend `EFFICIENCY` of their time on tasks.

    A ring moves 2 (N - 1) / N of the gradients' bytes out of every worker and into it; what
    messages take to arrive is not counted.

    Args:
        task_ms: one core's time for a task.
        tasks: of a meta-batch.
        size: bytes of the gradients.
        gigabits: a second, of each worker's connection.
    """
    best = workers = 1
    while workers <= tasks:
        work = task_ms * tasks / workers
        moved = 8 * size * 2 * (workers - 1) / workers / (gigabits * 1e6)
        if work / (work + moved) >= EFFICIENCY:
            best = workers
        workers *= 2
    return best


def check_cores() -> None:
    """Raise a WorkerError where processes cannot be kept to the cores of `TEAMS`."""
    needed = set().union(*(cores for team in TEAMS.values() for cores in team))
    if shutil.which("taskset") is None:
        raise WorkerError(
            "nothing is measured: there is no `taskset` (Linux, package util-linux), which keeps "
            "each process to its cores"
        )
    if not needed <= (found := machine.cores()):
        raise WorkerError(
            f"nothing is measured: the teams need the cores {_listed(needed)}, this process may "
            f"use {_listed(found)}"
        )


def _listed(cores: set[int]) -> str:
    return ",".join(map(str, sorted(cores)))


def main(arguments: list[str]) -> None:
    """Time and print tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distribution")
    parser.add_argument(
        "--workloads",
        nargs="+",
        choices=[name for name, w in WORKLOADS.items() if w.is_classification],
        default=["omniglot-5way-mtnet", "miniimagenet-5steps-mtnet"],
    )
    parser.add_argument("--repeats", type=number(int, 1, 1_000), default=5, help="rounds")
    parser.add_argument(
        "--seconds", type=number(float, 0.001, 3_600), default=3.0, help="length of a sample"
    )
    parser.add_argument("--serve", choices=WORKLOADS, help="be a worker, of this program")
    given = parser.parse_args(arguments)
    if given.serve:
        serve(given.serve)
        return
    check_cores()
    for name in given.workloads:
        with ExitStack() as stack:
            teams = {n: stack.enter_context(Team(name, c)) for n, c in TEAMS.items()}
            iterations = {}
            for label, team in teams.items():
                team.run(2)
                iterations[label] = max(2, round(1000 * given.seconds / team.run(2)))
            samples: dict[str, list[float]] = {label: [] for label in teams}
            for _ in range(given.repeats):
                for label, team in teams.items():
                    samples[label].append(team.run(iterations[label]))
            size = next(iter(teams.values())).gradient_bytes
        base = next(iter(samples.values()))
        print(f"\n### {name}: {size} bytes of gradients\n")
        print("| team | ms an iteration, median | range | times the first, median of rounds |")
        print("| --- | ---: | ---: | ---: |")
        for label, values in samples.items():
            ratio = statistics.median(b / v for b, v in zip(base, values, strict=True))
            middle = statistics.median(values)
            print(
                f"| {label} | {middle:.1f} | {min(values):.1f} to {max(values):.1f} | {ratio:.2f} |"
            )
        task_ms = statistics.median(base) / WORKLOADS[name].tasks
        print(f"\nWorkers of one core that pay, by the time of a task ({task_ms:.1f} ms):\n")
        print("| tasks |" + "".join(f" {g} Gbit/s |" for g in GIGABITS))
        print("| ---: |" + " ---: |" * len(GIGABITS))
        for tasks in META_BATCHES:
            counts = [workers_that_pay(task_ms, tasks, size, g) for g in GIGABITS]
            print(f"| {tasks} |" + "".join(f" {count} |" for count in counts), flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (WorkerError, OSError) as error:
        sys.exit(f"error: {error}")
