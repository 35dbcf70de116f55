"""The processes of a strategy, each with a program of its own, and what they say to one another.

Each draws and computes what its own program says, and averages gradients with the others. Where
they were told different things, nobody would notice.
"""

import contextlib
import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

# What TensorFlow raises in a process that waits for one that has ended.
LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.UnavailableError,
)


class WorkerLostError(ConnectionError):
    """Another process has ended before its time, or cannot be reached."""


class Processes:
    """All processes of a strategy. They must call the same methods in the same order.

    Args:
        strategy: of all replicas in all processes.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self._strategy = strategy

    @property
    def is_chief(self) -> bool:
        """Whether this is the one of which the others take what only one can say."""
        return self._strategy.extended.should_checkpoint

    def of_all(self, values: Sequence[float] | np.ndarray) -> np.ndarray:
        """Vectors of any lengths, one of each process, one after the other.

        They travel as float64, which has every number that is sent.

        Raises:
            WorkerLostError: another process has ended.
        """
        with lost_in_words():
            return self._gather(tf.constant(values, tf.float64)).numpy()

    def of_chief(self, values: Sequence[float] | np.ndarray) -> np.ndarray:
        """The chief's vector; the others' do not matter."""
        return self.of_all(values if self.is_chief else values[:0])

    def difference(self, values: Mapping[str, Any], rounding: float = 0.0) -> str | None:
        """Say of the first of these values that is another in another process what it is there.

        Args:
            values: by name, as JSON has them.
            rounding: by how much numbers with a point may differ, relative to 1 and to themselves.
        """
        text = np.frombuffer(f"{json.dumps(values)}\n".encode(), np.uint8)
        first, *others = bytes(self.of_all(text).astype(np.uint8)).decode().splitlines()
        self.wait()  # Whoever refuses something now would be lost to one that has no answer yet.
        here = json.loads(first)
        for number, other in enumerate(others, 1):
            there = json.loads(other)
            for name, value in here.items():
                if not _same(value, there.get(name), rounding):
                    return f"{name} is {value} on worker 0 and {there.get(name)} on worker {number}"
        return None

    def copy_from_chief(self, variables: Sequence[tf.Variable]) -> None:
        """Give variables the values that they have in the chief."""
        values = [variable.numpy() for variable in variables]
        own = np.concatenate([value.reshape(-1).astype(np.float64) for value in values])
        ends = np.cumsum([value.size for value in values])[:-1]
        parts = np.split(self.of_chief(own), ends)
        for variable, value, part in zip(variables, values, parts, strict=True):
            variable.assign(part.reshape(value.shape).astype(value.dtype))

    def wait(self) -> None:
        """Until all processes are here; whoever ended a little too early has done its work."""
        with contextlib.suppress(tf.errors.OpError, WorkerLostError):
            self.of_all([0.0])

    @functools.cached_property
    def _gather(self) -> Callable[[tf.Tensor], tf.Tensor]:
        if self._strategy.num_replicas_in_sync == 1:
            return tf.identity
        replicas_here = len(self._strategy.extended.worker_devices)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float64)], autograph=False)
        def gather(values: tf.Tensor) -> tf.Tensor:
            def share() -> tf.Tensor:
                number = tf.distribute.get_replica_context().replica_id_in_sync_group
                return values[: tf.where(number % replicas_here == 0, tf.size(values), 0)]

            return self._strategy.gather(self._strategy.run(share), axis=0)

        return gather


@contextlib.contextmanager
def lost_in_words() -> Iterator[None]:
    """Name what TensorFlow raises, in some thirty lines, where another process has ended.

    Raises:
        WorkerLostError: in its place.
    """
    try:
        yield
    except LOST as error:
        raise WorkerLostError(
            "the connection to another worker broke: see what it said last; with "
            "keras.callbacks.BackupAndRestore all workers started again go on from the last epoch"
        ) from error


def _same(here: Any, there: Any, rounding: float) -> bool:
    if isinstance(here, list) and isinstance(there, list):
        return len(here) == len(there) and all(map(_same, here, there, [rounding] * len(here)))
    if isinstance(here, float) and isinstance(there, float):
        return bool(np.isclose(here, there, rounding, rounding, equal_nan=True))
    return here == there
