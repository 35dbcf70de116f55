"""What the probabilities of a model are worth, also for pictures of none of a task's classes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from data_generators import Episode
from experiments.single_pictures.accuracies import BATCH
from experiments.single_pictures.calibration import (
    expected_calibration_error,
    fitted_temperature,
    margins,
    strangers_below,
    strangers_kept,
    tempered,
)
from experiments.single_pictures.domains import AS_TRAINED
from experiments.single_pictures.pictures import Data
from experiments.single_pictures.plan import Cell, Plan
from maml_tnet import MetaLearner
from utils.command.configuration import Config
from utils.runs.datasets import held_out_episodes
from utils.runs.optimizers import evaluation_weights

# What `worth` gives, by name.
WORTH = (
    *("steps", "temperature", "calibration_error", "calibration_error_tempered"),
    *("strangers_below", "strangers_kept"),
)


class Answers(NamedTuple):
    """What is said of the queries of a cell's tasks.

    Attributes:
        known: probabilities for queries of the tasks' classes, [queries, way].
        labels: the classes of these, [queries].
        strangers: probabilities for queries of as many other classes, [queries, way].
    """

    known: np.ndarray
    labels: np.ndarray
    strangers: np.ndarray


def ask(
    learner: MetaLearner,
    config: Config,
    cell: Cell,
    data: Data,
    *,
    split: str,
    tasks: int,
    strangers: bool,
    steps: int,
) -> Answers:
    """Ask held-out tasks, and where it is wanted pictures of other classes, too.

    Tasks are drawn with twice as many classes, of which the second half is not learned.
    """
    source = data.source(config, cell.way * (2 if strangers else 1), cell.shot)
    learned, known = cell.way * cell.shot, cell.way * cell.query
    found = []

    @tf.function(autograph=False)
    def answer(episode: Episode) -> tuple[tf.Tensor, tf.Tensor]:
        support_x, support_y = _by_class(episode.support_x, episode.support_y)
        query_x, query_y = _by_class(episode.query_x, episode.query_y)
        probabilities = learner.adapt_and_predict(
            support_x[:, :learned], support_y[:, :learned, : cell.way], query_x, steps
        )
        return probabilities, tf.argmax(query_y, axis=-1)

    episodes = held_out_episodes(
        source, split, tasks=tasks, batch=BATCH, shot=cell.shot, query=cell.query
    )
    with evaluation_weights(learner):
        for _, episode in episodes:
            found.append([part.numpy() for part in answer(episode)])
    probabilities, labels = (np.concatenate(parts)[:tasks] for parts in zip(*found, strict=True))
    return Answers(
        probabilities[:, :known].reshape(-1, cell.way),
        labels[:, :known].reshape(-1),
        probabilities[:, known:].reshape(-1, cell.way),
    )


def _by_class(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Examples [tasks, examples, ...] in the order of their classes."""
    order = tf.argsort(tf.argmax(y, axis=-1), axis=1, stable=True)
    return tf.gather(x, order, batch_dims=1), tf.gather(y, order, batch_dims=1)


def temperature(
    learner: MetaLearner, config: Config, ways: Sequence[int], data: Data, plan: Plan, steps: int
) -> float:
    """The temperature that fits validation tasks of these ways and the plan's shots best."""
    answers = [
        ask(
            learner,
            config,
            Cell(way, shot, AS_TRAINED),
            data,
            split="val",
            tasks=plan.tasks,
            strangers=False,
            steps=steps,
        )
        for way in ways
        for shot in plan.shots
    ]
    return fitted_temperature([(found.known, found.labels) for found in answers])


def worth(answers: Answers, temperature: float, steps: int) -> dict[str, float]:
    """What the probabilities of a cell after a number of inner steps are worth, by `WORTH`."""
    known, labels, strangers = answers
    of_known, of_strangers = margins(known), margins(strangers)
    values = (
        *(steps, temperature, expected_calibration_error(known, labels)),
        expected_calibration_error(tempered(known, temperature), labels),
        *(strangers_below(of_known, of_strangers), strangers_kept(of_known, of_strangers)),
    )
    return dict(zip(WORTH, values, strict=True))
