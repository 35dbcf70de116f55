"""Sinusoid regression, the toy problem of section 5.1."""

import math

import tensorflow as tf

from data_generators.episode import Episode, check_draw, split_episode
from data_generators.errors import DataError
from data_generators.random_streams import held_out_draw, stream_id, uniform

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

    Raises:
        DataError: `oracle` is neither True nor False.
    """

    output_size = 1
    is_classification = False
    draws_on_device = True
    image_input = None
    data_record = None

    def __init__(self, oracle: bool = False):
        if not isinstance(oracle, bool):
            raise DataError(f"oracle must be True or False, got {oracle!r}")
        self.oracle = oracle
        self.input_shape = (4,) if oracle else (1,)

    def check(self, split: str, *, shot: int, query: int) -> None:
        """Raise a ValueError for no split or no numbers: a function has any number of points."""
        check_draw(split, shot=shot, query=query)

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
        check_draw(split, seed=seed, tasks=tasks, shot=shot, query=query)
        unit = uniform(stream_id("sinusoid", seed, split), iteration, [tasks, 3 + shot + query])
        return self._tasks(unit[:, :3], unit[:, 3:], shot)

    def held_out(self, split: str, numbers: tf.Tensor, *, shot: int, query: int) -> Episode:
        """The sinusoids of these numbers, int32 [tasks], the same for every `shot` and `query`."""
        check_draw(split, shot=shot, query=query)
        draw = held_out_draw("sinusoid", split, numbers)
        points = tf.concat([draw("support", [shot]), draw("query", [query])], axis=1)
        return self._tasks(draw("function", [3]), points, shot)

    def _tasks(self, function: tf.Tensor, points: tf.Tensor, shot: int) -> Episode:
        """From uniform numbers [tasks, 3] and [tasks, points]."""
        amplitude, frequency, phase = (
            _scale(function[:, i : i + 1, tf.newaxis], bounds)
            for i, bounds in enumerate((AMPLITUDE, FREQUENCY, PHASE))
        )
        x = _scale(points[..., tf.newaxis], X)
        y = amplitude * tf.sin(frequency * x + phase)
        if self.oracle:
            task = tf.concat([amplitude, frequency, phase], axis=-1)
            x = tf.concat([x, tf.repeat(task, x.shape[1], axis=1)], axis=-1)
        return split_episode(x, y, shot)
