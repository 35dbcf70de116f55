"""Sinusoid regression, the toy problem of section 5.1."""

import math

import tensorflow as tf

from data_generators.episode import Episode, split_episode
from data_generators.random_streams import stream_id, uniform

AMPLITUDE = (0.1, 5.0)
FREQUENCY = (0.8, 1.2)
PHASE = (0.0, math.pi)
X = (-5.0, 5.0)


def _scale(unit: tf.Tensor, bounds: tuple[float, float]) -> tf.Tensor:
    low, high = bounds
    return low + (high - low) * unit


class Sinusoid:
    """Tasks y = A sin(w x + b), with A, w, b and x drawn uniformly (equation 25).

    Args:
        oracle: give the network the task as well: inputs are (x, A, w, b) instead of x alone.
    """

    output_size = 1
    is_classification = False

    def __init__(self, oracle: bool = False):
        self.oracle = oracle
        self.input_shape = (4,) if oracle else (1,)

    def episodes(
        self,
        split: str,
        seed: int,
        iteration: int | tf.Tensor,
        *,
        tasks: int,
        shot: int,
        query: int,
    ) -> Episode:
        """Draw `tasks` sinusoids with `shot` support and `query` query points each."""
        points = shot + query
        unit = uniform(stream_id("sinusoid", seed, split), iteration, [tasks, 3 + points])
        unit = unit[..., tf.newaxis]
        amplitude = _scale(unit[:, 0:1], AMPLITUDE)
        frequency = _scale(unit[:, 1:2], FREQUENCY)
        phase = _scale(unit[:, 2:3], PHASE)
        x = _scale(unit[:, 3:], X)
        y = amplitude * tf.sin(frequency * x + phase)
        if self.oracle:
            task = tf.concat([amplitude, frequency, phase], axis=-1)
            x = tf.concat([x, tf.repeat(task, points, axis=1)], axis=-1)
        return split_episode(x, y, shot)
