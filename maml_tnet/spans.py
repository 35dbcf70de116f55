"""Spans (start, stop) of iteration numbers, of which `MetaLearner.fit` takes a dataset."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from maml_tnet.arguments import LARGEST_INT32

SPAN = f"a span (start, stop) must have 0 <= start <= stop <= {LARGEST_INT32}"
_REFUSED_SPAN = re.compile(re.escape(SPAN) + r"\W+?(-?\d+)\W+?(-?\d+)")  # as TensorFlow says it


def checked_span(data: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """What `MetaLearner.fit` takes: (start, stop), numbers of iterations, as int32.

    Raises:
        ValueError: it is something else, such as an episode.
    """
    parts = data if isinstance(data, tuple | list) else ()
    is_span = len(parts) == 2 and all(
        tf.is_tensor(part) and part.dtype.is_integer and part.shape.is_compatible_with([])
        for part in parts
    )
    if not is_span:
        raise ValueError(
            "fit takes a dataset of spans (start, stop), two whole numbers of iterations, as tasks "
            f"come from sample_episode, got {data!r:.100}"
        )
    start, stop = (tf.cast(part, tf.int32) for part in parts)
    return start, tf.maximum(start, stop)  # of one that ends before it begins nothing


def checked_spans(spans: Any) -> Any:
    """A dataset of spans as int32, which refuses reversed ones and numbers of no iterations.

    It is done by the dataset, as what trains may be compiled for devices without assertions.

    Args:
        spans: given to `MetaLearner.fit`; what is no `tf.data.Dataset` of two whole numbers is
            returned as it is.
    """
    if not isinstance(spans, tf.data.Dataset):
        return spans
    parts = spans.element_spec
    are_spans = isinstance(parts, tuple) and len(parts) == 2
    if not are_spans or not all(
        isinstance(part, tf.TensorSpec) and part.dtype.is_integer and part.shape.rank == 0
        for part in parts
    ):
        return spans

    def checked(start: tf.Tensor, stop: tf.Tensor) -> tuple[tf.Tensor, ...]:
        start, stop = (tf.cast(part, tf.int64) for part in (start, stop))
        is_right = (start >= 0) & (start <= stop) & (stop <= LARGEST_INT32)
        with tf.control_dependencies([tf.debugging.Assert(is_right, [SPAN, start, stop])]):
            return tf.cast(start, tf.int32), tf.cast(stop, tf.int32)

    return spans.map(checked)


@contextlib.contextmanager
def spans_refused_in_words() -> Iterator[None]:
    """Say in one line, by a ValueError, what the dataset of `checked_spans` refused."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        if not (found := _REFUSED_SPAN.search(str(error))):
            raise
        raise ValueError(f"{SPAN}, got ({found[1]}, {found[2]})") from error
