"""Random numbers that are a pure function of what they are for.

Training draws a whole batch by (source, seed, split, iteration). A held-out task draws by (source,
split, its own number), so that it is the same task in a batch of any size.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

SPLITS = ("train", "val", "test")
# Held-out tasks are the same for every run, method and seed, so that results compare pairwise.
HELD_OUT_SEED = 0


def stream_id(source: str, seed: int, split: str) -> int:
    """Return the int32 that names the random stream of one source, seed and split.

    Raises:
        ValueError: `split` is not one of `SPLITS`.
    """
    check_split(split)
    digest = zlib.crc32(f"{source}/{split}/{seed}".encode())
    return int(np.uint32(digest).astype(np.int32))


def check_split(split: str) -> None:
    """Raise a ValueError if there is no split of this name."""
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")


def whole_int32(name: str, value: Any) -> tf.Tensor:
    """Check a whole number, or an array of them.

    Args:
        name: of the argument.
        value: given; may be traced.

    Returns:
        int32, of the shape of the value.

    Raises:
        ValueError: it is none, or beyond int32; of what is traced its type alone is known.
    """
    message = f"{name} must be a whole number within int32, got {value!r:.100}"
    try:
        number = tf.convert_to_tensor(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(message) from error
    if not number.dtype.is_integer:
        raise ValueError(message)
    known = tf.get_static_value(number)
    if known is not None and np.any(known != known.astype(np.int32)):
        raise ValueError(message)
    return tf.cast(number, tf.int32)


def uniform(stream: int | tf.Tensor, iteration: int | tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Draw float32 numbers in [0, 1), multiples of 2^-24, for one iteration of a stream.

    The algorithm is named because the default one differs between devices. The integers are
    drawn and scaled here because XLA makes other floats of the same bits than TensorFlow does.

    Raises:
        ValueError: the iteration's number is not whole, or beyond int32.
    """
    key = tf.stack([tf.cast(stream, tf.int32), whole_int32("iteration", iteration)])
    bits = tf.random.stateless_uniform(
        shape, key, minval=None, maxval=None, dtype=tf.int32, alg="philox"
    )
    return tf.cast(tf.bitwise.bitwise_and(bits, 0xFFFFFF), tf.float32) * 2.0**-24


def held_out_draw(
    source: str, split: str, numbers: tf.Tensor
) -> Callable[[str, Sequence[int]], tf.Tensor]:
    """Make the draw of held-out tasks: every task from its own number, every purpose on its own.

    Args:
        source: name of the data source.
        split: of the tasks.
        numbers: of the tasks, int32 [tasks].

    Returns:
        (purpose, shape) -> numbers as `uniform` draws them, [tasks, *shape]. A task's numbers of
        shape [n, ...] are the first ones of its [m, ...], n < m.

    Raises:
        ValueError: `numbers` is not [tasks], not whole, or beyond int32.
    """
    numbers = whole_int32("each of the tasks' numbers", numbers)
    if numbers.shape.rank != 1 or numbers.shape[0] == 0:
        raise ValueError(f"numbers must be [tasks], got shape {tuple(numbers.shape)}")

    def draw(purpose: str, shape: Sequence[int]) -> tf.Tensor:
        stream = stream_id(f"{source}/{purpose}", HELD_OUT_SEED, split)
        return _uniform_of_each(tf.constant(stream), numbers, tuple(shape))

    return draw


# One number after the other is slow otherwise, where nothing else compiles this.
@tf.function(autograph=False)
def _uniform_of_each(stream: tf.Tensor, numbers: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """What `uniform` draws for each of the iterations `numbers`, [numbers, *shape]."""
    return tf.map_fn(
        lambda number: uniform(stream, number, shape), numbers, fn_output_signature=tf.float32
    )
