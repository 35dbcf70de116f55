"""What a user waits for besides meta-iterations: start-up, drawing of episodes, evaluation.

    python -m benchmarks.program --data_path DIR

Prints a table for Omniglot 5-way 1-shot and the sinusoid, MT-net, and writes it as JSON. With
--photographs also how much of miniImagenet's meta-iteration it takes to read and draw the images.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import utils.tensorflow_environment  # noqa: F401

import tensorflow as tf
from absl import flags
from tensorflow import keras

from benchmarks import machine
from benchmarks.arguments import data, folder
from data_generators import TaskSource
from system.atomic_file import write_text
from utils.command.configuration import Config
from utils.command.exit_code import REFUSED
from utils.command.flags import config_from_flags, define, parse
from utils.command.refusals import in_words
from utils.errors import UsageError
from utils.runs.assembly import build_learner, build_source
from utils.runs.datasets import EVALUATION_BATCH, held_out_episodes, training_spans
from utils.runs.folder import Run
from utils.runs.training import train

SOURCES = ("omniglot", "sinusoid")
EVALUATION_TASKS = 600
ROUNDS = 5
MANY_STEPS = 20
FIRST = "first iteration done"


class _StopAfterFirst(keras.callbacks.Callback):
    """Ends the process when the first span is through: one iteration of a run of one."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        print(FIRST, flush=True)
        os._exit(0)


def first_iteration(name: str, data_path: str | None, cache: str, logdir: str) -> None:
    """What `main.py` does up to the end of the first iteration, in a process of its own."""
    config = _config(name, "--metatrain_iterations=1")
    source = build_source(config, data_path, cache)
    run = Run.named_by(config, logdir)
    run.start(resume=False)
    learner = build_learner(config, source)
    train(run, learner, source, log=False, progress=_StopAfterFirst())


def start_up_seconds(name: str, data_path: str | None, cache: str, starts: int = 3) -> float:
    """From the start of a process to its first trained iteration; median of some."""
    seconds = []
    for _ in range(starts):
        with tempfile.TemporaryDirectory() as logdir:
            call = f"first_iteration({name!r}, {data_path!r}, {cache!r}, {logdir!r})"
            start = time.perf_counter()
            _output_of(call)
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def many_inner_steps(data_path: str | None, cache: str) -> None:
    """Print milliseconds per meta-iteration and peak MB of `MANY_STEPS` inner steps.

    The peak is null where it is not measured.
    """
    config = _config("omniglot", f"--num_updates={MANY_STEPS}")
    learner = build_learner(config, build_source(config, data_path, cache))
    learner.make_train_function()
    for span in ((0, 1), (1, 4)):  # the first compiles
        start = time.perf_counter()
        int(learner.train_function(iter(training_spans([span])))["iteration"])
    milliseconds = 1000 * (time.perf_counter() - start) / 3
    print(json.dumps([milliseconds, machine.peak_megabytes([os.getpid()])]))


def many_steps_in_a_process(data_path: str | None, cache: str) -> list[float | None]:
    """What `many_inner_steps` prints, in a process of its own."""
    call = f"many_inner_steps({data_path!r}, {cache!r})"
    return json.loads(_output_of(call).splitlines()[-1])


def _output_of(call: str) -> str:
    """What a function of this module prints in a process of its own."""
    command = [sys.executable, "-c", f"from benchmarks.program import *; {call}"]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode or not result.stdout:
        said = result.stderr.strip().splitlines() or [f"it ended with {result.returncode}"]
        raise UsageError(f"{call}: {said[-1]}")
    return result.stdout


def drawing_share(config: Config, source: TaskSource, iterations: int) -> float:
    """Time to draw the episodes of iterations over the time of the iterations; pairwise median."""
    learner = build_learner(config, source)
    learner.make_train_function()

    @tf.function(jit_compile=learner.network.compile_with_xla, autograph=False)
    def draw(start: tf.Tensor, stop: tf.Tensor) -> tf.Tensor:
        def body(i: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # The sums keep every drawn tensor from being optimized away.
            return i + 1, total + tf.add_n(
                [tf.reduce_sum(part) for part in learner.sample_episode(i)]
            )

        return tf.while_loop(lambda i, _: i < stop, body, [start, 0.0])[1]

    shares = []
    for i in range(ROUNDS + 1):
        span = (i * iterations, (i + 1) * iterations)
        start = time.perf_counter()
        float(draw(*map(tf.constant, span)))
        drawn = time.perf_counter()
        int(learner.train_function(iter(training_spans([span])))["iteration"])
        shares.append((drawn - start) / (time.perf_counter() - drawn))
    return statistics.median(shares[1:])  # the first round compiles


def feeding_share(photographs: str, cache: str) -> float:
    """Percent of miniImagenet's meta-iteration that reading and drawing its images takes."""
    config = _config("miniimagenet")
    return 100 * drawing_share(config, build_source(config, photographs, cache), iterations=3)


def tasks_per_second(config: Config, source: TaskSource, batch: int, tasks: int) -> float:
    """Of an evaluation after 0 to 10 inner steps, compiled beforehand."""
    learner = build_learner(config, source)

    def evaluate(tasks: int) -> None:
        sizes = {"shot": config.update_batch_size, "query": config.query_batch_size}
        learner.predict(
            held_out_episodes(source, "test", tasks=tasks, batch=batch, **sizes), verbose=0
        )

    evaluate(batch)
    start = time.perf_counter()
    evaluate(tasks)
    return tasks / (time.perf_counter() - start)


def measure(name: str, data_path: str | None, cache: str) -> dict[str, float]:
    """All figures of one data source."""
    config = _config(name)
    source = build_source(config, data_path, cache)
    batch = EVALUATION_BATCH[name]
    batched = tasks_per_second(config, source, batch, EVALUATION_TASKS)
    alone = tasks_per_second(config, source, 1, EVALUATION_TASKS // 10)
    return {
        "start-up s": start_up_seconds(name, data_path, cache),
        "drawing share %": 100 * drawing_share(config, source, 20 if name == "omniglot" else 5000),
        "evaluated tasks/s": batched,
        "one at a time": alone,
        "ratio": batched / alone,
    }


def _config(name: str, *arguments: str) -> Config:
    flag_values = define(flags.FlagValues())
    parse(["main.py", f"--datasource={name}", "--use_T", "--use_M", *arguments], flag_values)
    return config_from_flags(flag_values)


def main() -> None:
    """Print the table and write `program-tensorflow-VERSION.json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.program")
    parser.add_argument("--data_path", type=data, default=os.environ.get("OMNIGLOT_PATH") or None)
    parser.add_argument("--photographs", type=data, default=os.environ.get("PHOTOS_PATH") or None)
    parser.add_argument("--output", type=folder, default=Path("benchmarks/results"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    found = machine.describe()
    results: dict[str, Any] = {"machine": found, "tensorflow": tf.__version__}
    with tempfile.TemporaryDirectory() as cache:
        for name in SOURCES:
            results[name] = measure(name, options.data_path, cache)
        steps = many_steps_in_a_process(options.data_path, cache)
        share = feeding_share(options.photographs, cache) if options.photographs else None
    results[f"omniglot, {MANY_STEPS} inner steps: ms, peak MB"] = steps
    results["miniimagenet: drawing share %"] = share
    columns = list(results[SOURCES[0]])
    print(f"{found['cpu']}, {found['cores']} cores, TensorFlow {tf.__version__}\n")
    print("| MT-net | " + " | ".join(columns) + " |\n" + "| --- " * (len(columns) + 1) + "|")
    for name in SOURCES:
        print(f"| {name} | " + " | ".join(f"{results[name][c]:.3g}" for c in columns) + " |")
    print(f"\nOmniglot, {MANY_STEPS} inner steps, ms per meta-iteration and peak MB: {steps}")
    if None in steps:
        print(machine.NO_PEAK)
    if share is not None:
        print(f"\nminiImagenet's meta-iteration: {share:.2g} % for its images")
    file = options.output / f"program-tensorflow-{tf.__version__}.json"
    write_text(file, json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except REFUSED as error:
        sys.exit(f"error: {in_words(error)}")
