"""N replicas against one process: python -m tests.replicas [--iterations=50] [--case ...].

The same small learners are trained, in float64, by one process without a strategy, on 1, 2 and 4
logical devices, and by 2 worker processes; every weight must be the same to 1e-10, relative to its
norm, and so must the evaluation. The meta-gradient in float32 must be the same to 1e-5. Prints one
line for each comparison; the exit code is 1 if one is not so. The tests do this with fewer
iterations and cases; CONTRIBUTING.md has this command's last result.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / "maml_tnet"))

import utils.tensorflow_environment  # noqa: F401

import numpy as np
import program
import tensorflow as tf
from disturbed import Disturbed, Server
from random_episodes import Episode, image_episode, randomize, regression_episode
from runs_on_pictures import of_pictures, picture_folders
from tensorflow import keras
from workers import Workers, tf_configs

from maml_tnet import ConvNet, MetaLearner, Regressor
from maml_tnet.compat import tf_variable
from maml_tnet.distribution import mean_over_replicas, on_every_replica
from maml_tnet.losses import cross_entropy, squared_error
from utils.runs.datasets import training_spans

CASES = [
    f"{n}-{m}-{o}" for n in ("dense", "conv") for m in ("maml", "mtnet") for o in ("sgd", "adam")
]
PROGRAM = "program"
TASKS = 4
WEIGHTS, GRADIENT, PROGRAM_WEIGHTS = 1e-10, 1e-5, 1e-4
CLIP = 0.02
Arrays = dict[str, np.ndarray]


class TwoBlocks(ConvNet):
    """Half of the paper's network: most of this command's time is what TensorFlow traces."""

    blocks = 2


def episodes(case: str, iterations: int, dtype: str) -> Episode:
    """Meta-batches [iterations, tasks, ...]."""

    def one(seed: int) -> Episode:
        rng = np.random.default_rng(seed)
        if case.startswith("dense"):
            return regression_episode(rng, tasks=TASKS, dtype=dtype)
        return image_episode(rng, (8, 8, 1), tasks=TASKS, dtype=dtype)

    return Episode(*(tf.stack(parts) for parts in zip(*map(one, range(iterations)), strict=True)))


def learner(case: str, data: Episode, strategy: tf.distribute.Strategy | None) -> MetaLearner:
    """A small learner of a case, its weights away from their special initial values."""
    network_kind, method, optimizer = case.split("-")
    dtype = data.support_x.dtype.name
    keras.backend.set_floatx(dtype)
    options = {
        "use_transform": method == "mtnet",
        "mask_per": "unit" if method == "mtnet" else None,
        "dtype": dtype,
    }
    with strategy.scope() if strategy else nullcontext():
        if network_kind == "dense":
            network: Any = Regressor(dim_hidden=5, **options)
        else:
            network = TwoBlocks((8, 8, 1), 3, num_filters=4, **options)
        randomize(network, np.random.default_rng(0))
        made = MetaLearner(
            network,
            sample_episode=lambda i: Episode(*(part[i] for part in data)),
            update_lr=0.1,
            num_updates=1,
            evaluation_updates=2,
            meta_grad_clip=CLIP,
            seed=3,
        )
        made.compile(
            keras.optimizers.SGD(0.5) if optimizer == "sgd" else keras.optimizers.Adam(0.01),
            loss=squared_error if network_kind == "dense" else cross_entropy,
            jit_compile=False,
        )
    return made


def trained(case: str, iterations: int, strategy: tf.distribute.Strategy | None) -> Arrays:
    """Weights after so many iterations, and what `evaluate` and `predict` say of 3 tasks."""
    data = episodes(case, iterations, "float64")
    made = learner(case, data, strategy)
    middle = iterations // 2
    made.fit(training_spans([(0, middle), (middle, iterations)]), shuffle=False, verbose=0)
    numbered = tf.range(3), Episode(*(part[0, :3] for part in data))
    held_out = tf.data.Dataset.from_tensors(numbered)
    measured = made.evaluate(held_out, verbose=0, return_dict=True)
    predicted = made.predict(held_out, verbose=0)
    weights = [tf_variable(variable).numpy() for variable in made.trainable_variables]
    return (
        {f"weight {i}": value for i, value in enumerate(weights)}
        | {f"evaluate {name}": np.float64(value) for name, value in measured.items()}
        | {f"predict {name}": value for name, value in predicted.items()}
    )


def gradient(case: str, strategy: tf.distribute.Strategy | None) -> Arrays:
    """The meta-gradient in float32, before it is clipped."""
    made = learner(case, episodes(case, 1, "float32"), strategy)

    @tf.function(autograph=False)
    def reduced() -> list[tf.Tensor]:
        return on_every_replica(
            strategy, lambda: mean_over_replicas(made.iteration_gradient(tf.constant(0)))[0]
        )

    with strategy.scope() if strategy else nullcontext():
        found = [g.numpy() for g in reduced()]
    assert max(np.abs(g).max() for g in found) > CLIP, "nothing to clip"
    return {f"gradient {i}": g for i, g in enumerate(found)}


def on_devices(folder: Path, cases: Sequence[str], iterations: int, devices: Sequence[int]) -> None:
    """In a process of its own: without a strategy (devices 0) and on logical devices."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * max(devices)
    )
    for number in (0, *devices):
        strategy = None
        if number:
            # TensorFlow's collectives know one group of devices in a process.
            others = tf.distribute.ReductionToOneDevice() if number < max(devices) else None
            strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(number)], others)
        for case in cases:
            found = trained(case, iterations, strategy)
            if case.endswith("sgd"):  # a meta-gradient knows no optimizer
                found |= gradient(case, strategy)
            np.savez(folder / f"{case} {number} devices.npz", **found)


def as_worker(folder: Path, cases: Sequence[str], iterations: int, config: dict[str, str]) -> None:
    """In a process of its own: one of two workers."""
    os.environ |= config
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    name = "worker " + str(strategy.cluster_resolver.task_id)
    for case in cases:
        np.savez(folder / f"{case} {name}.npz", **trained(case, iterations, strategy))


def on_images(folder: Path) -> dict[str, float]:
    """How far the program's run of two workers on images is from that of one process."""
    data = picture_folders(folder / "data")
    shared = "--distribute=multiworker"
    with Server() as server:
        alone = of_pictures(server, folder / "alone", data)
        alone.finish()
        two = of_pictures(server, folder / "two", data, shared)
        Workers(two).finish()
        again = of_pictures(server, folder / "again", data, shared, "--notrain", "--test_set")
        shutil.copytree(alone.folder, again.folder)
        shutil.rmtree(again.folder / "evaluation")
        Workers(again).finish()

    def found(run: Disturbed) -> Arrays:
        weights = program.tensors(program.newest(run.folder / "checkpoints"))
        file = run.folder / "evaluation" / "test-1shot.csv"
        table = np.genfromtxt(file, delimiter=",", skip_header=1)
        return {f"weight {name}": value for name, value in weights.items()} | {
            "evaluate": table[:, 1:]  # behind the number of inner steps
        }

    return {
        "weight": difference(found(two), found(alone), "weight"),
        "evaluate": difference(found(two), found(alone), "evaluate"),
        "--notrain": difference(found(again), found(alone), "evaluate"),
    }


def forked(function: Any, *arguments: Any) -> int:
    """Start a function in a process that begins here, with TensorFlow imported; its number."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            function(*arguments)
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        os._exit(code)
    return child


def difference(found: Arrays, expected: Arrays, kind: str) -> float:
    """The largest of any array whose name begins like this, relative to the array's norm."""
    names = [name for name in found if name.startswith(kind)]
    errors = [
        np.linalg.norm(found[n] - expected[n]) / (np.linalg.norm(expected[n]) or 1) for n in names
    ]
    return float(np.max(errors))  # of which a NaN is the largest


def main(arguments: Sequence[str]) -> int:
    """Compare all; see above."""
    parser = argparse.ArgumentParser(prog="python -m tests.replicas")
    parser.add_argument("--iterations", type=int, default=50)
    every = [*CASES, PROGRAM]
    parser.add_argument("--case", nargs="+", choices=every, default=every)
    parser.add_argument("--devices", nargs="+", type=int, default=[1, 2, 4])
    given = parser.parse_args(arguments)
    tf.get_logger().setLevel("ERROR")  # it warns of many functions: many learners are made
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = [case for case in given.case if case != PROGRAM]
        each = folder, cases, given.iterations
        if cases:  # the devices first, then the workers: they have few cores
            os.waitpid(forked(on_devices, *each, given.devices), 0)
            children = [forked(as_worker, *each, config) for config in tf_configs(2)]
            for child in children:
                os.waitpid(child, 0)
        others = [f"{n} devices" for n in given.devices] + ["worker 0", "worker 1"]
        wrong = 0
        for case in cases:
            expected = dict(np.load(folder / f"{case} 0 devices.npz"))
            for other in others:
                found = dict(np.load(folder / f"{case} {other}.npz"))
                bounds = {"weight": WEIGHTS, "evaluate": WEIGHTS, "predict": WEIGHTS}
                if "gradient 0" in found:
                    bounds["gradient"] = GRADIENT
                errors = {kind: difference(found, expected, kind) for kind in bounds}
                wrong += sum(not errors[kind] <= bound for kind, bound in bounds.items())
                print(case, other, *(f"{kind} {error:.1e}" for kind, error in errors.items()))
        if PROGRAM in given.case:
            errors = on_images(folder)
            wrong += sum(not error <= PROGRAM_WEIGHTS for error in errors.values())
            print(PROGRAM, *(f"{kind} {error:.1e}" for kind, error in errors.items()))
    bounds = f"{WEIGHTS:.0e}, of gradients {GRADIENT:.0e}, of the program {PROGRAM_WEIGHTS:.0e}"
    print(f"{wrong} of these are larger than {bounds}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
