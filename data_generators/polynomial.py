"""Polynomial regression, the problem of section 5.2."""

import tensorflow as tf

from data_generators.episode import Episode, check_draw, is_whole, split_episode
from data_generators.errors import DataError
from data_generators.random_streams import held_out_draw, stream_id, uniform

LARGEST_ORDER = 100  # a compiled program has every power in it


class Polynomial:
    """Tasks y = sum_i c_i (x/2)^i with c_i uniform in [-1, 1] and x uniform in [-2, 2].

    Args:
        order: the highest power, n; a task has n + 1 coefficients.

    Raises:
        DataError: `order` is no whole number, negative, or more than `LARGEST_ORDER`.
    """

    input_shape = (1,)
    output_size = 1
    is_classification = False
    draws_on_device = True
    image_input = None
    data_record = None

    def __init__(self, order: int):
        if not is_whole(order) or not 0 <= order <= LARGEST_ORDER:
            raise DataError(
                f"--poly_order must be a whole number between 0 and {LARGEST_ORDER}, got "
                f"{order!r:.100}"
            )
        self.order: int = order

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
        """Draw `tasks` polynomials with `shot` support and `query` query points each."""
        check_draw(split, seed=seed, tasks=tasks, shot=shot, query=query)
        count = self.order + 1
        stream = stream_id(self._name, seed, split)
        unit = uniform(stream, iteration, [tasks, count + shot + query])
        return self._tasks(unit[:, :count], unit[:, count:], shot)

    def held_out(self, split: str, numbers: tf.Tensor, *, shot: int, query: int) -> Episode:
        """The polynomials of these numbers, int32 [tasks], the same for any `shot` and `query`."""
        check_draw(split, shot=shot, query=query)
        draw = held_out_draw(self._name, split, numbers)
        points = tf.concat([draw("support", [shot]), draw("query", [query])], axis=1)
        return self._tasks(draw("function", [self.order + 1]), points, shot)

    @property
    def _name(self) -> str:
        return f"polynomial{self.order}"

    def _tasks(self, function: tf.Tensor, points: tf.Tensor, shot: int) -> Episode:
        """From uniform numbers [tasks, coefficients] and [tasks, points]."""
        coefficients = 2.0 * function - 1.0
        half_x = 2.0 * points - 1.0  # x / 2
        y = tf.zeros_like(half_x)
        for power in reversed(range(self.order + 1)):  # Horner's scheme
            y = y * half_x + coefficients[:, power : power + 1]
        return split_episode(2.0 * half_x[..., tf.newaxis], y[..., tf.newaxis], shot)
