"""Episodes as `fit` takes them: dicts or tuples of arrays [tasks, examples, ...]."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from maml_tnet.arguments import LEAST_INT32, whole_number
from maml_tnet.given_data import NO_EXAMPLE

# Of NumPy's kinds: complex numbers, times, objects, texts.
NO_NUMBERS = "cmMOSU"
MOST_NAMED = 10  # classes in one line


class ModelEpisode(NamedTuple):
    """A batch of tasks. Each part may be nested as the model's inputs and outputs are.

    Attributes:
        support_x: inputs that a task learns from, [tasks, support, ...].
        support_y: their targets.
        query_x: inputs that a task is asked about, [tasks, queries, ...].
        query_y: their targets; None where only answers are asked for.
        support_weight: sample weights [tasks, support] or [tasks, support, ...], or None. An
            example of weight 0 is padding: the task is what it would be without it.
        query_weight: the same of the queries.
    """

    support_x: Any
    support_y: Any
    query_x: Any
    query_y: Any = None
    support_weight: Any = None
    query_weight: Any = None


def model_episode(data: Any, *, answered: bool = False) -> ModelEpisode:
    """Read what a dataset yields: a dict by these names, or a tuple in this order.

    Args:
        data: to read.
        answered: whether query_y must be there.

    Raises:
        ValueError: it is neither, lacks a part, or its parts are of different tasks or examples.
    """
    parts = episode_parts(data)
    if parts is None:
        found = sorted(data) if isinstance(data, dict) else type(data).__name__
        names = ", ".join(ModelEpisode._fields)
        raise ValueError(
            f"an episode must be a dict or tuple of {names} (what follows query_x may be left "
            f"out), got {found}"
        )
    episode = ModelEpisode(**parts)
    if answered and episode.query_y is None:
        raise ValueError("an episode to train or to measure on must have query_y")
    episode = episode._replace(
        support_weight=numbers(episode.support_weight), query_weight=numbers(episode.query_weight)
    )
    support = [episode.support_x, episode.support_y, episode.support_weight]
    check_examples("support", *support, axes=2)
    check_examples("query", episode.query_x, episode.query_y, episode.query_weight, axes=2)
    return episode


def episode_parts(data: Any) -> dict[str, Any] | None:
    """The parts of an episode by their names, those that are there; None if it is no episode."""
    names = ModelEpisode._fields
    # As Keras passes a tuple of arrays on, and what `train_on_batch` is given.
    while isinstance(data, tuple) and data and all(part is None for part in data[1:]):
        data = data[0]
    if isinstance(data, list | tuple) and 3 <= len(data) <= len(names):
        data = dict(zip(names, data, strict=False))
    if not isinstance(data, dict) or not set(data) <= {*names}:
        return None
    parts = {name: part for name, part in data.items() if part is not None}
    return parts if {*names[:3]} <= set(parts) else None


def numbers(weight: Any) -> Any:
    """Nested sample weights as numbers, where they say by bools which examples count."""
    return tf.nest.map_structure(
        lambda part: tf.cast(part, tf.float32) if _is_bool(part) else part, weight
    )


def _is_bool(part: Any) -> bool:
    return part is not None and tf.as_dtype(part.dtype).is_bool


def tensors(value: Any) -> Any:
    """Nested tensors of what is given: a list of numbers, or of lists of them, is one tensor."""
    if isinstance(value, dict):
        return {key: tensors(part) for key, part in value.items()}
    if isinstance(value, list | tuple) and any(hasattr(part, "shape") for part in value):
        return type(value)(tensors(part) for part in value)
    return None if value is None else tf.convert_to_tensor(value)


def check_examples(part: str, x: Any, y: Any, weight: Any, *, axes: int) -> None:
    """Check that inputs, targets and weights are of the same examples.

    TensorFlow would broadcast one target over all of them without a word.

    Args:
        part: "support" or "query".
        x: nested inputs, [tasks, examples, ...] or [examples, ...].
        y: nested targets, or None.
        weight: nested sample weights, or None.
        axes: 2, or 1 for examples without a task axis.

    Raises:
        ValueError: they are not, or there is no example.
        tf.errors.InvalidArgumentError: the same, where only the running graph knows.
    """
    what = "[tasks, examples, ...]" if axes == 2 else "[examples, ...]"
    first = tf.nest.flatten(x)[0]
    for name, values in (("x", x), ("y", y), ("weight", weight)):
        for tensor in filter(lambda value: value is not None, tf.nest.flatten(values)):
            if isinstance(tensor, tf.RaggedTensor | tf.SparseTensor):
                raise ValueError(
                    f"{part}_{name} must be an array {what}, got a {type(tensor).__name__}: tasks "
                    f"of other numbers of examples are padded, with a {part}_weight of 0"
                )
            if name != "x" and tf.as_dtype(tensor.dtype) == tf.string:
                raise ValueError(
                    f"{part}_{name} must be numbers, got texts: give every class a number"
                )
            found = tf.TensorShape(tensor.shape)
            if found.rank is None:
                if name == "x":
                    raise ValueError(
                        f"{part}_x must be {what}: give its dataset the number of axes"
                    )
                continue
            if found.rank < axes or not found[:axes].is_compatible_with(first.shape[:axes]):
                raise ValueError(
                    f"{part}_{name} must be {what} with the sizes of {part}_x, whose shape is "
                    f"{tuple(first.shape)}, got {tuple(found)}"
                )
            if 0 in found[:axes]:
                raise ValueError(f"{part}_{name} has no examples, its shape is {tuple(found)}")
            if not found[:axes].is_fully_defined():
                message = f"{part}_{name} has no examples"
                tf.debugging.assert_positive(tf.shape(tensor)[:axes], message)
                tf.debugging.assert_equal(
                    tf.shape(tensor)[:axes],
                    tf.shape(first)[:axes],
                    f"{part}_{name} must have as many tasks and examples as {part}_x",
                )


def real_examples(weight: Any, parts: Any) -> Any:
    """Leave out padding.

    Args:
        weight: sample weights [examples] or [examples, ...], of one output or nested.
        parts: nested tensors [examples, ...] and None.

    Returns:
        the parts without the examples of which all weights of the first output are 0.

    Raises:
        tf.errors.InvalidArgumentError: that are all examples.
    """
    real = _is_real(weight)
    check = tf.debugging.assert_positive(tf.math.count_nonzero(real), NO_EXAMPLE)
    with tf.control_dependencies([check]):
        real = tf.identity(real)
    return tf.nest.map_structure(
        lambda part: None if part is None else with_mask(lambda x: tf.boolean_mask(x, real), part),
        parts,
    )


def with_padding(outputs: Any, weight: Any) -> Any:
    """Undo `real_examples`: outputs at the places of their examples, 0 where there is padding."""
    real = _is_real(weight)
    places = tf.cast(tf.where(real), tf.int32)

    def spread(part: tf.Tensor) -> tf.Tensor:
        return tf.scatter_nd(places, part, tf.concat([tf.shape(real), tf.shape(part)[1:]], axis=0))

    return tf.nest.map_structure(lambda part: with_mask(spread, part), outputs)


def keras_mask(tensor: Any) -> Any:
    """Which parts of a tensor losses and metrics of Keras take; None for all."""
    return getattr(tensor, "_keras_mask", None)


def with_mask(function: Callable[[tf.Tensor], tf.Tensor], tensor: tf.Tensor) -> tf.Tensor:
    """A function of a tensor, and of its `keras_mask`, which it would lose."""
    result, mask = function(tensor), keras_mask(tensor)
    if mask is not None:
        result._keras_mask = function(mask)
    return result


def _is_real(weight: Any) -> tf.Tensor:
    """Which examples are no padding: bool [examples]."""
    first = tf.nest.flatten(weight)[0]
    return tf.reduce_any(tf.reshape(first, [tf.shape(first)[0], -1]) != 0, axis=1)


def class_episodes(
    x: Any,
    labels: Any,
    *,
    way: int,
    shot: int,
    query: int,
    tasks: int,
    seed: int = 0,
) -> tf.data.Dataset:
    """Episodes of `way` classes, drawn from labelled examples: an endless `tf.data.Dataset`.

    Episode i is a pure function of (seed, i), so `dataset.skip(i)` goes on where a run stopped.
    Classes of fewer than shot + query examples are left out, with a warning that names them.

    Args:
        x: examples [number, ...], an array.
        labels: of the examples, [number], of any type.
        way: classes of a task, which get the labels 0 to way - 1 in a random order.
        shot: support examples of each class.
        query: queries of each class, other examples than the support's.
        tasks: tasks of an episode.
        seed: of the draws.

    Returns:
        a dataset of dicts: support_x [tasks, way * shot, ...], support_y int32
        [tasks, way * shot], query_x [tasks, way * query, ...], query_y int32 [tasks, way * query].

    Raises:
        ValueError: examples are no array of numbers, labels are not [number] or are no classes,
            fewer than `way` classes have shot + query examples, the numbers of examples and of
            labels differ, or one of the numbers is no number of things.
    """
    given = {"way": way, "shot": shot, "query": query, "tasks": tasks}
    way, shot, query, tasks = (whole_number(name, n, least=1) for name, n in given.items())
    seed = whole_number("seed", seed, least=LEAST_INT32)
    given_labels = labels
    x, labels = _array("x", x), _array("labels", labels)
    if x.ndim == 0 or x.dtype.kind in NO_NUMBERS:
        raise ValueError(f"x must be numbers [number, ...], got {x.dtype.name} of shape {x.shape}")
    if labels.ndim != 1:
        raise ValueError(f"labels must be [number], one for each example, got {labels.shape}")
    if len(x) != len(labels):
        raise ValueError(f"{len(x)} examples have {len(labels)} labels")
    if nans := int(np.sum(labels != labels)):
        raise ValueError(f"labels must be classes, but {nans} of them are nan")
    # Of numbers among texts NumPy makes texts, and of 1 and "1" one class.
    of_one_type = labels.dtype.kind != "U" or all(isinstance(n, str) for n in given_labels)
    try:
        classes = np.unique(labels if of_one_type else np.array(given_labels, object))
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in given_labels})
        raise ValueError(f"labels must be of one type, got {' and '.join(kinds)}") from error
    found = [np.flatnonzero(labels == label) for label in classes]
    members = [indices for indices in found if len(indices) >= shot + query]
    if len(members) < way:
        raise ValueError(
            f"way={way} needs as many classes with shot + query = {shot + query} examples, "
            f"got {len(members)}"
        )
    if len(members) < len(found):
        pairs = zip(classes.tolist(), found, strict=True)
        few = [repr(label) for label, indices in pairs if len(indices) < shot + query]
        warnings.warn(
            f"{len(few)} of {len(found)} classes have fewer than shot + query = {shot + query} "
            f"examples and are left out: {', '.join(few[:MOST_NAMED])}"
            + (", ..." if len(few) > MOST_NAMED else ""),
            stacklevel=2,
        )
    most = max(map(len, members))
    table = np.stack([np.resize(indices, most) for indices in members])
    is_member = np.arange(most) < np.array([len(indices) for indices in members])[:, np.newaxis]
    examples = tf.constant(x)

    def draw(number: tf.Tensor) -> dict[str, tf.Tensor]:
        key = tf.stack([tf.constant(seed, tf.int64), number])
        keys = tf.random.split(key, 2)
        scores = tf.random.stateless_uniform([tasks, len(members)], keys[0])
        classes = tf.math.top_k(scores, way).indices
        scores = tf.random.stateless_uniform([tasks, way, most], keys[1])
        scores = tf.where(tf.gather(is_member, classes), scores, -1.0)
        places = tf.math.top_k(scores, shot + query).indices
        chosen = tf.gather(tf.gather(table, classes), places, batch_dims=2)

        def part(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            each = indices.shape[-1]
            y = tf.tile(tf.repeat(tf.range(way), each)[tf.newaxis], [tasks, 1])
            return tf.gather(examples, tf.reshape(indices, [tasks, way * each])), y

        support_x, support_y = part(chosen[..., :shot])
        query_x, query_y = part(chosen[..., shot:])
        return {
            "support_x": support_x,
            "support_y": support_y,
            "query_x": query_x,
            "query_y": query_y,
        }

    return tf.data.Dataset.counter().map(draw, num_parallel_calls=1)


def _array(name: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:  # lists of different lengths
        raise ValueError(f"{name} must be an array: {error}") from error
