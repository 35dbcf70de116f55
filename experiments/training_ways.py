"""For how many classes a model for any number of classes is best trained.

python -m experiments.training_ways --data_path=DIR
python -m experiments.training_ways --data_path=DIR --only=5-10-20-way

Trains MT-nets in the form for single pictures on Omniglot: on tasks of 5 classes, of 20, and of 5,
10 and 20 in turn, with equally many pictures in every meta-batch, and measures each with 2 to 50
classes of the validation characters. Writes every task's accuracy into --output and a page of
tables. What is finished is kept; a training that is stopped begins anew.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import utils.tensorflow_environment  # noqa: F401

import numpy as np
import tensorflow as tf
from tensorflow import keras

from data_generators import TaskSource
from experiments import command
from experiments.documents import (
    Document,
    entry,
    numbers,
    parsed,
    read_document,
    rounded,
    write_document,
)
from experiments.experiment import Experiment
from experiments.record import check_same_data
from experiments.runs import fingerprint_of
from experiments.single_pictures.accuracies import measure
from experiments.single_pictures.domains import AS_TRAINED, DOMAINS
from experiments.single_pictures.plan import Cell
from experiments.tables import markdown, percent
from maml_tnet import MetaLearner
from system.atomic_file import write_text
from utils.command.help_flags import define_help
from utils.runs.assembly import build_learner, build_source
from utils.runs.environment import environment

ITERATIONS, TASKS = 1000, 200
QUERIES = 3
PICTURES = 320  # of a meta-batch
PARTS = {"5-way": (5,), "20-way": (20,), "5-10-20-way": (5, 10, 20)}
MEASURED = [(way, shot) for shot in (1, 5) for way in (2, 5, 10, 20, 50)]
FLAGS = (
    *("--datasource=omniglot", "--queries=alone", "--use_T", "--use_M"),
    *(f"--query_batch_size={QUERIES}", "--update_lr=0.4"),
)
# What its files of all versions have.
KEYS = ("flags", "ways")

PAGE = """# For how many classes a model for any number of classes is best trained

Written by `python -m experiments.training_ways --data_path=DIR`; nothing here is typed by hand.
MT-nets in the form for single pictures, Omniglot, after {iterations} iterations of 1-shot tasks,
{pictures} pictures in every meta-batch, one network of each. Accuracy in % on {tasks} tasks of the
validation characters, each query alone, after one inner step, with the 95 % interval over them,
masks at their mode.

{table}
"""


def trained(ways: Sequence[int], sources: dict[int, TaskSource]) -> MetaLearner:
    """A learner trained on tasks of these numbers of classes in turn."""
    config = Experiment("", FLAGS).config
    learner = build_learner(config, sources[ways[0]], evaluation_updates=1, evaluation_mask="mode")

    def meta_step(way: int) -> tf.types.experimental.GenericFunction:
        tasks = PICTURES // (way * (1 + QUERIES))

        @tf.function(autograph=False)
        def step(iteration: tf.Tensor) -> None:
            episode = sources[way].episodes(
                "train", config.seed, iteration, tasks=tasks, shot=1, query=QUERIES
            )
            gradients, _ = learner.meta_gradient(episode, tf.stack([config.seed, iteration]))
            pairs = zip(gradients, learner.trainable_variables, strict=True)
            learner.optimizer.apply_gradients(pairs)

        return step

    steps = [meta_step(way) for way in ways]
    for iteration in range(ITERATIONS):
        steps[iteration % len(steps)](tf.constant(iteration))
    return learner


def do(parts: Sequence[str], output: Path, data_path: str | None, cache_dir: str) -> None:
    """Train and measure what is not done yet on this data, and write the page after each.

    Raises:
        UsageError: what is measured already is of other data.
        FileError: it is damaged, or something else.
    """
    page(output)  # before anything is trained
    config = Experiment("", FLAGS).config
    sources = {
        way: build_source(replace(config, num_classes=way), data_path, cache_dir)
        for way in sorted({*(way for ways in PARTS.values() for way in ways), *dict(MEASURED)})
    }
    data = fingerprint_of(next(iter(sources.values())))
    check_same_data(output, data)
    for name in parts:
        ways = PARTS[name]
        file = _file(output, ways)
        known = {"flags": list(FLAGS), "ways": list(ways), "iterations": ITERATIONS, "data": data}
        stored = read_document(file, KEYS) or {}
        if any(stored.get(key) != value for key, value in known.items()):
            learner = trained(ways, sources)
            write_document(file, known | measured(learner, sources))
            keras.backend.clear_session()
        write_text(output / "README.md", page(output))
        print("measured", name, flush=True)


def measured(learner: MetaLearner, sources: dict[int, TaskSource]) -> Document:
    """The validation tasks' accuracies after one inner step, [tasks], by way and shot."""
    cells = {}
    for way, shot in MEASURED:
        cell = Cell(way, shot, AS_TRAINED)
        found = measure(learner, cell, sources[way], DOMAINS[AS_TRAINED], TASKS, split="val")
        cells[cell.name] = rounded(found["accuracy"][:, 1])
    return {
        "measured_with": {key: str(value) for key, value in environment().items()},
        "cells": cells,
    }


def accuracies(file: Path) -> list[np.ndarray] | None:
    """What `measured` gave, in the order of `MEASURED`; None if it is not there.

    Raises:
        FileError: the file is damaged, or something else.
    """
    document = read_document(file, KEYS)
    if document is None:
        return None

    def cells() -> list[np.ndarray]:
        found = entry(document, "cells", dict)
        return [numbers(found, Cell(way, shot, AS_TRAINED).name) for way, shot in MEASURED]

    return parsed(file, cells)


def page(output: Path) -> str:
    """README.md of what is measured."""
    rows = []
    for name, ways in PARTS.items():
        found = accuracies(_file(output, ways))
        if found is not None:
            rows.append([name, *map(percent, found)])
    header = ["trained on", *(f"{way}-way {shot}-shot" for way, shot in MEASURED)]
    return PAGE.format(
        iterations=ITERATIONS, pictures=PICTURES, tasks=TASKS, table=markdown(header, rows)
    )


def _file(output: Path, ways: Sequence[int]) -> Path:
    return output / f"{'-'.join(map(str, ways))}way.json"


if __name__ == "__main__":
    command.define("single_pictures/training_ways", PARTS)
    command.define_images()
    define_help()

    def main(parts: Sequence[str]) -> None:
        """Train and measure these parts."""
        flag_values = command.FLAGS
        do(parts, Path(flag_values.output), flag_values.data_path, flag_values.cache_dir)

    sys.exit(command.main(sys.argv, PARTS, main))
