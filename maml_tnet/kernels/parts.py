"""A meta-batch in parts: several parts at a time, each operation of a part on one thread.

For operations as small as these, as many parts at once as there are cores are faster than several
threads inside an operation, and a part's activations stay in a core's cache. The size of a part
does not depend on the number of cores, and so neither does any result.
"""

import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf


def even_part(tasks: int, most: int) -> int:
    """The largest number of tasks, at most `most`, that divides `tasks`."""
    return next(size for size in range(min(most, tasks), 0, -1) if tasks % size == 0)


def map_parts(function: Callable[[Any], Any], batch: Any, part: int | None, outputs: Any) -> Any:
    """Apply a function to the parts of a batch of tasks.

    Args:
        function: of nested tensors [part, ...].
        batch: nested tensors [tasks, ...].
        part: tasks at a time, which divides their number; None for all.
        outputs: nested `tf.TensorSpec` of what the function returns.

    Returns:
        what the function returns for each part, stacked: [tasks / part, ...].
    """
    tasks = tf.nest.flatten(batch)[0].shape[0]
    if part is None or part == tasks:
        return tf.nest.map_structure(lambda x: tf.expand_dims(x, 0), function(batch))
    parts = tf.nest.map_structure(
        lambda x: tf.reshape(x, [tasks // part, part, *x.shape[1:]]), batch
    )
    return tf.map_fn(
        function,
        parts,
        fn_output_signature=outputs,
        parallel_iterations=os.cpu_count() or 1,
    )
