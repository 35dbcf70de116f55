"""Two worker processes that train by the package itself: python -m tests.library_workers FOLDER.

Every scenario forks both, and each writes what came of it into FOLDER/SCENARIO-WORKER.json. The
tests look at these.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / "maml_tnet"))

import utils.tensorflow_environment  # noqa: F401

import numpy as np
import tensorflow as tf
from replicas import forked
from tensorflow import keras
from workers import tf_configs

from data_generators import Sinusoid
from maml_tnet import MetaLearner, Regressor, losses
from maml_tnet.compat import tf_variable
from maml_tnet.processes import Processes

EPOCHS, SPANS_PER_EPOCH = 3, 2


class Stop(keras.callbacks.Callback):
    """Ends the program at the end of an epoch, before a backup of it."""

    def __init__(self, at: int):
        super().__init__()
        self.at = at

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.at:
            raise KeyboardInterrupt


def train(
    worker: int,
    *,
    seed: int = 0,
    clip: float = 0.0,
    backup: Path | None = None,
    stop: int | None = None,
) -> dict[str, Any]:
    """Train as one of the workers; the epochs and the weights at the end."""
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    sinusoids = Sinusoid()
    with strategy.scope():
        learner = MetaLearner(
            Regressor(dim_hidden=3, use_transform=True, mask_per="unit"),
            sample_episode=lambda i: sinusoids.episodes("train", seed, i, tasks=2, shot=5, query=5),
            update_lr=0.01,
            num_updates=1,
            meta_grad_clip=clip,
        )
        learner.compile(keras.optimizers.Adam(0.01), loss=losses.squared_error)
    callbacks: list[Any] = [] if stop is None else [Stop(stop)]
    if backup is not None:
        callbacks.append(keras.callbacks.BackupAndRestore(backup))
    starts = 5 * np.arange(EPOCHS * SPANS_PER_EPOCH)
    spans = tf.data.Dataset.from_tensor_slices((starts, starts + 5))
    history = learner.fit(
        spans, epochs=EPOCHS, steps_per_epoch=SPANS_PER_EPOCH, callbacks=callbacks
    )
    weights = [tf_variable(v).numpy().ravel().tolist() for v in learner.trainable_variables]
    return {"epochs": history.epoch, "loss": history.history["loss"], "weights": weights}


def vectors_of_one_process_with_two_devices() -> dict[str, Any]:
    """Each process speaks once, however many replicas it has."""
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    processes = Processes(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
    variables = [tf.Variable([1.0, 2.0]), tf.Variable(3)]
    processes.copy_from_chief(variables)
    return {
        "of all": processes.of_all([1.0, 2.0]).tolist(),
        "copied": [variable.numpy().tolist() for variable in variables],
        "difference": processes.difference({"a": 1}),
    }


def write(file: Path, function: Any, *arguments: Any, **options: Any) -> None:
    """What a function returns, or raises, as JSON."""
    try:
        found = function(*arguments, **options)
    except (Exception, KeyboardInterrupt) as error:
        found = {"error": type(error).__name__, "says": str(error)}
    file.write_text(json.dumps(found))


def both(folder: Path, scenario: str, **options: Any) -> None:
    """Run `train` on both workers; an option that is a list has a value for each."""
    children = []
    for worker, config in enumerate(tf_configs(2)):
        own = {k: v[worker] if isinstance(v, list) else v for k, v in options.items()}

        def as_worker(worker: int = worker, config: Any = config, own: Any = own) -> None:
            os.environ |= config
            write(folder / f"{scenario}-{worker}.json", train, worker, **own)

        children.append(forked(as_worker))
    for child in children:
        os.waitpid(child, 0)


def main(folder: Path) -> None:
    """Run all scenarios."""
    both(folder, "undisturbed")
    backups = [folder / "backup0", folder / "backup1"]
    both(folder, "stopped", backup=backups, stop=[None, 1])
    both(folder, "resumed", backup=backups)
    both(folder, "clip", clip=[0.0, 0.1])
    both(folder, "seed", seed=[0, 1])
    both(folder, "one backup", backup=[folder / "backup2", None])
    file = folder / "devices-0.json"
    child = forked(write, file, vectors_of_one_process_with_two_devices)
    os.waitpid(child, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
