"""What all processes of a training must be told alike, compared before it begins."""

import json
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from maml_tnet.processes import Processes

ROUNDING = 1e-4  # by which means of the same episode may differ between machines


def check_agreement(processes: Processes, learner: Any, given: Mapping[str, Any]) -> None:
    """Compare what can be: numbers, choices, shapes, and the first episode.

    Args:
        processes: that train together.
        learner: a compiled `MetaLearner`.
        given: numbers that `fit` was given, by name.

    Raises:
        ValueError: something is another in another process; in all of them.
    """
    found = processes.difference(_settings(learner, given))
    found = found or processes.difference(_first_means(learner), ROUNDING)
    if found:
        raise ValueError(f"all workers must train the same, but {found}")


def _settings(learner: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the learner was made and compiled with, and `given`, as JSON has it."""
    config = learner.optimizer.get_config()
    config.pop("name", None)  # which counts the optimizers of a process
    told = {
        "update_lr": learner.update_lr,
        "num_updates": learner.num_updates,
        "first_order": learner.first_order,
        "meta_sgd": bool(learner.step_size_variables),
        "temperature": learner.temperature,
        "meta_grad_clip": learner.meta_grad_clip,
        "seed": learner.seed,
        "the list of the weights' shapes": [list(v.shape) for v in learner.trainable_variables],
        "the optimizer": type(learner.optimizer).__name__,
    }
    told |= {f"the optimizer's {name}": value for name, value in config.items()}
    return json.loads(json.dumps({**told, **given}, default=_as_json))


def _first_means(learner: Any) -> dict[str, Any]:
    """Shape and mean of each part of the episode of iteration 0."""
    episode = learner.sample_episode(tf.constant(0))
    return {
        f"{name} in iteration 0 (shape, mean)": [
            part.shape.as_list(),
            float(tf.reduce_mean(tf.cast(part, tf.float64))),
        ]
        for name, part in zip(episode._fields, map(tf.convert_to_tensor, episode), strict=True)
    }


def _as_json(value: Any) -> Any:
    """NumPy's numbers as numbers, and of anything else its type's name."""
    return value.item() if hasattr(value, "item") else type(value).__name__
