"""What every data generator offers; programs ask it and need not know which one it is."""

from typing import Protocol

import tensorflow as tf

from data_generators.data_record import DataRecord
from data_generators.episode import Episode
from data_generators.images.image_input import ImageInput


class TaskSource(Protocol):
    """Draws the tasks of one data source.

    Attributes:
        input_shape: of one example, without the task and example axes.
        output_size: numbers that the network answers with: the way N, or a target's size.
        is_classification: whether targets are one-hot labels; otherwise tasks are regression.
        draws_on_device: whether `episodes` draws where tasks are computed, and XLA can compile it;
            otherwise the host reads them.
        image_input: how an image file becomes an input; None where inputs are no images.
        data_record: the classes that tasks are drawn from; None where they are drawn from numbers.
    """

    @property
    def input_shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def output_size(self) -> int: ...  # noqa: D102
    @property
    def is_classification(self) -> bool: ...  # noqa: D102
    @property
    def draws_on_device(self) -> bool: ...  # noqa: D102
    @property
    def image_input(self) -> ImageInput | None: ...  # noqa: D102
    @property
    def data_record(self) -> DataRecord | None: ...  # noqa: D102

    def check(self, split: str, *, shot: int, query: int) -> None:
        """Raise the error that `episodes` and `held_out` would raise for these sizes."""
        ...

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
        """Draw the tasks of a meta-iteration; the same arguments draw the same bits.

        Args:
            split: "train", "val" or "test", which share no class.
            seed: of the run.
            iteration: the meta-iteration; may be traced.
            tasks: number of tasks.
            shot: support examples of every class; in regression, of the task.
            query: the same for queries.
        """
        ...

    def held_out(self, split: str, numbers: tf.Tensor, *, shot: int, query: int) -> Episode:
        """The tasks of these numbers, int32 [tasks], whatever is drawn beside them.

        A task has the same function, or the same classes, for any `shot` and `query`.
        """
        ...
