"""Polynomial regression, the problem of section 5.2."""

import tensorflow as tf

from data_generators.episode import Episode, split_episode
from data_generators.errors import DataError
from data_generators.random_streams import stream_id, uniform


class Polynomial:
    """Tasks y = sum_i c_i (x/2)^i with c_i uniform in [-1, 1] and x uniform in [-2, 2].

    Args:
        order: the highest power, n; a task has n + 1 coefficients.

    Raises:
        DataError: `order` is negative.
    """

    input_shape = (1,)
    output_size = 1
    is_classification = False

    def __init__(self, order: int):
        if order < 0:
            raise DataError(f"--poly_order must be 0 or more, got {order}")
        self.order = order

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
        """Draw `tasks` polynomials with `shot` support and `query` query points each."""
        coefficients = self.order + 1
        stream = stream_id(f"polynomial{self.order}", seed, split)
        signed = 2.0 * uniform(stream, iteration, [tasks, coefficients + shot + query]) - 1.0
        half_x = signed[:, coefficients:]  # x / 2
        y = tf.zeros_like(half_x)
        for power in reversed(range(coefficients)):  # Horner's scheme
            y = y * half_x + signed[:, power : power + 1]
        return split_episode(2.0 * half_x[..., tf.newaxis], y[..., tf.newaxis], shot)
