"""How many queries of a cell's held-out tasks a model answers rightly."""

import numpy as np
import tensorflow as tf

from data_generators import Episode, TaskSource
from experiments.single_pictures.domains import Change
from experiments.single_pictures.plan import Cell
from maml_tnet import MetaLearner
from utils.runs.datasets import held_out_episodes
from utils.runs.optimizers import evaluation_weights

BATCH = 20  # tasks at a time


def measure(
    learner: MetaLearner,
    cell: Cell,
    source: TaskSource,
    change: Change,
    tasks: int,
    split: str = "test",
) -> dict[str, np.ndarray]:
    """Accuracies of a cell's held-out tasks, by name, each [tasks, steps + 1].

    Args:
        learner: to measure.
        cell: of the tasks.
        source: of their pictures.
        change: what is done to these.
        tasks: how many.
        split: whose classes they have.
    """

    def changed(numbers: tf.Tensor, episode: Episode) -> tuple[tf.Tensor, Episode]:
        keys = [tf.stack([numbers, tf.fill(tf.shape(numbers), part)], axis=1) for part in (0, 1)]
        return numbers, episode._replace(
            support_x=change(episode.support_x, keys[0]), query_x=change(episode.query_x, keys[1])
        )

    episodes = held_out_episodes(
        source, split, tasks=tasks, batch=BATCH, shot=cell.shot, query=cell.query
    )
    learner.predict_function = None  # compiled for another way
    with evaluation_weights(learner):
        found = learner.predict(episodes.map(changed), verbose=0)
    return {name: values[:tasks] for name, values in found.items() if name != "loss"}
