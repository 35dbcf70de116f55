"""A learner measured as an experiment says, in parts that are kept until all of it is recorded."""

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from data_generators import TaskSource
from experiments.documents import parsed, read_document, write_document
from experiments.experiment import Experiment
from experiments.record import STORED_STEPS, Measured
from maml_tnet import MetaLearner
from utils.command.configuration import Config
from utils.command.evaluation_settings import EvaluationSettings
from utils.reports.evaluation import measure
from utils.runs.datasets import EVALUATION_BATCH

# Tasks of images that are measured at a time: whole batches, so that a part's tasks are computed as
# they are among all others. Of regression all tasks take seconds.
PART = 200


def measure_all(
    experiment: Experiment, learner: MetaLearner, source: TaskSource, kept: Path
) -> list[Measured]:
    """Make the evaluations of an experiment that the folder `kept` has not, which keeps them.

    Args:
        experiment: whose evaluations they are.
        learner: with the weights.
        source: of the tasks.
        kept: folder of what is measured of these weights on this data.

    Returns:
        what each of `experiment.evaluations` gave.

    Raises:
        DataError: the split has too few classes or images for them.
        FileError: what is kept is damaged.
    """
    # One kind of mask after the other, as each of them is compiled anew.
    by_mask = sorted(experiment.evaluations, key=lambda settings: settings.mask)
    config = experiment.config
    found = {settings: _evaluation(config, learner, source, settings, kept) for settings in by_mask}
    return [found[settings] for settings in experiment.evaluations]


def _evaluation(
    config: Config,
    learner: MetaLearner,
    source: TaskSource,
    settings: EvaluationSettings,
    kept: Path,
) -> Measured:
    size = PART if config.is_classification else settings.num_tasks
    parts = []
    for first in range(0, settings.num_tasks, size):
        last = min(first + size, settings.num_tasks)
        part = replace(settings, num_tasks=last - first)
        file = kept / f"{part.split}-{part.shot}shot-{part.mask}-{first}.json"
        document = read_document(file)
        found = None
        if document is not None:
            found = parsed(file, functools.partial(Measured.from_dict, document))
        if found is None or found.settings != part:
            found = _measure(config, learner, source, part, first)
            write_document(file, found.to_dict())
            if settings.num_tasks > size:
                print(f"{file.parent}: {last} of {settings.num_tasks} tasks", flush=True)
        parts.append(found)
    return Measured(settings, parts[0].steps, np.concatenate([part.values for part in parts]))


def _measure(
    config: Config,
    learner: MetaLearner,
    source: TaskSource,
    settings: EvaluationSettings,
    first: int,
) -> Measured:
    learner.evaluation_updates = settings.num_steps
    if not config.is_classification:
        values = held_out_losses(learner, source, settings, config)
        return Measured(settings, STORED_STEPS, values[:, STORED_STEPS])
    if learner.evaluation_mask != settings.mask:
        learner.evaluation_mask = settings.mask
        if learner.network.mask_logits:
            learner.predict_function = None  # compiled for the other kind of mask
    accuracies = measure(config, learner, source, settings, first).accuracies
    return Measured(settings, tuple(range(accuracies.shape[1])), accuracies)


def held_out_losses(
    learner: MetaLearner, source: TaskSource, settings: EvaluationSettings, config: Config
) -> np.ndarray:
    """The held-out tasks' losses after 0, 1, ... inner steps, [tasks, steps + 1].

    The tasks are those of `utils.reports.evaluation.measure`. Nothing is compiled, their drawing
    neither: for a few batches of a small network that takes a tenth of the time that compiling
    their unrolled steps takes.
    """
    shot, query = settings.shot, settings.query
    source.check(settings.split, shot=shot, query=query)
    batch = EVALUATION_BATCH[config.datasource]
    losses = []
    for first in range(0, settings.num_tasks, batch):
        numbers = tf.range(first, first + batch)
        episode = source.held_out(settings.split, numbers, shot=shot, query=query)
        losses.append(learner.predict_step((numbers, episode))["loss"].numpy())
    return np.concatenate(losses)[: settings.num_tasks]
