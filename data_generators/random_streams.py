"""Random numbers that are a pure function of (source, seed, split, iteration)."""

import zlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

SPLITS = ("train", "val", "test")


def stream_id(source: str, seed: int, split: str) -> int:
    """Return the int32 that names the random stream of one source, seed and split.

    Raises:
        ValueError: `split` is not one of `SPLITS`.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    digest = zlib.crc32(f"{source}/{split}/{seed}".encode())
    return int(np.uint32(digest).astype(np.int32))


def uniform(stream: int, iteration: int | tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Draw float32 numbers in [0, 1), multiples of 2^-24, for one iteration of a stream.

    The algorithm is named because the default one differs between devices. The integers are
    drawn and scaled here because XLA makes other floats of the same bits than TensorFlow does.
    """
    key = tf.stack([tf.constant(stream, tf.int32), tf.cast(iteration, tf.int32)])
    bits = tf.random.stateless_uniform(
        shape, key, minval=None, maxval=None, dtype=tf.int32, alg="philox"
    )
    return tf.cast(tf.bitwise.bitwise_and(bits, 0xFFFFFF), tf.float32) * 2.0**-24
