"""A batch of tasks as the meta-learner takes it: four tensors, checked and of its number type."""

import warnings
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from maml_tnet.constant import is_constant
from maml_tnet.losses import TaskLoss
from maml_tnet.task_network import TaskNetwork


class EpisodeLike(Protocol):
    """A batch of tasks: inputs [tasks, examples, ...], targets [tasks, examples, outputs]."""

    @property
    def support_x(self) -> Any: ...  # noqa: D102
    @property
    def support_y(self) -> Any: ...  # noqa: D102
    @property
    def query_x(self) -> Any: ...  # noqa: D102
    @property
    def query_y(self) -> Any: ...  # noqa: D102


class TaskEpisode(NamedTuple):
    """An episode that was checked.

    Attributes:
        support_x: inputs that the tasks learn from, [tasks, support, ...].
        support_y: their targets, [tasks, support, outputs].
        query_x: inputs that they are asked about, [tasks, queries, ...].
        query_y: their targets, [tasks, queries, outputs].
    """

    support_x: tf.Tensor
    support_y: tf.Tensor
    query_x: tf.Tensor
    query_y: tf.Tensor


def warn_of_constants(iteration: tf.Tensor, episode: EpisodeLike) -> None:
    """Warn where a graph was given an episode's values, which are then every iteration's.

    Args:
        iteration: that the episode was drawn for, a tensor of a graph where one is traced.
        episode: drawn.
    """
    parts = [getattr(episode, name, None) for name in TaskEpisode._fields]
    if tf.is_symbolic_tensor(iteration) and all(map(is_constant, parts)):
        warnings.warn(
            "sample_episode is traced once, and gave an episode that does not depend on its "
            "iteration: all iterations train on this one. Draw it by TensorFlow's operations, such "
            "as tf.random.stateless_uniform, from the iteration, or in a tf.numpy_function of it",
            stacklevel=2,
        )


def checked_episode(episode: EpisodeLike, network: TaskNetwork, loss: TaskLoss) -> TaskEpisode:
    """The episode as tensors of the network's number type.

    TensorFlow would broadcast one target over all examples, and take a class number for a one-hot
    row of one class, without a word.

    Args:
        episode: to check.
        network: that takes it.
        loss: that takes its targets.

    Raises:
        ValueError: it lacks a part, or a part's shape, numbers or, outside of a graph, labels are
            not what they must be.
        tf.errors.InvalidArgumentError: the same of sizes that only the running graph knows.
    """
    missing = [name for name in TaskEpisode._fields if not hasattr(episode, name)]
    if missing:
        raise ValueError(
            f"an episode must have {', '.join(TaskEpisode._fields)}, as data_generators.Episode "
            f"has, got a {type(episode).__name__} without {', '.join(missing)}"
        )
    support = checked_examples("support", episode.support_x, episode.support_y, network, loss)
    query = checked_examples("query", episode.query_x, episode.query_y, network, loss)
    check_same_tasks(support[0], query[0])
    if not support[1].shape[2:].is_compatible_with(query[1].shape[2:]):
        raise ValueError(
            f"support_y and query_y must have the same outputs, got shapes {_shown(support[1])} "
            f"and {_shown(query[1])}"
        )
    return TaskEpisode(*support, *query)


def checked_held_out(
    data: Any, network: TaskNetwork, loss: TaskLoss
) -> tuple[tf.Tensor, TaskEpisode]:
    """What `MetaLearner.evaluate` and `predict` take: (numbers [tasks], episode), checked.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise ValueError(
            "evaluate and predict take a dataset of (numbers, episode), the numbers of the "
            f"tasks, which key their masks, and these, got {data!r:.100}"
        )
    numbers, episode = data
    checked = checked_episode(episode, network, loss)
    numbers = tf.convert_to_tensor(numbers)
    expected = checked.support_x.shape[:1]
    if not numbers.dtype.is_integer or not numbers.shape.is_compatible_with(expected):
        raise ValueError(
            f"numbers must be whole ones of the tasks, {_sizes(expected)}, got {numbers.dtype.name}"
            f" of shape {_shown(numbers)}"
        )
    return tf.cast(numbers, tf.int32), checked


def check_same_tasks(support_x: tf.Tensor, query_x: tf.Tensor) -> None:
    """Raise a ValueError if they are of different numbers of tasks."""
    if not support_x.shape[:1].is_compatible_with(query_x.shape[:1]):
        raise ValueError(
            f"support_x and query_x must be of the same tasks, got shapes {_shown(support_x)} and "
            f"{_shown(query_x)}"
        )


def checked_examples(
    part: str, x: Any, y: Any, network: TaskNetwork, loss: TaskLoss
) -> tuple[tf.Tensor, tf.Tensor]:
    """The inputs and targets of one part of an episode, "support" or "query"; as above."""
    x = checked_inputs(f"{part}_x", x, network)
    if 0 in x.shape[:2]:
        raise ValueError(f"{part}_x must have a task and an example at least, got {_shown(x)}")
    y = _tensor(f"{part}_y", y, network)
    outputs, what = network.outputs_per_example, "outputs"
    if loss.takes_class_numbers:
        outputs, what = 1, "one class number"
    elif loss.classifies:
        what = "one-hot rows"
    expected = [*x.shape[:2], outputs]
    fits = y.shape.is_compatible_with(expected)
    if fits and loss.classifies and not loss.takes_class_numbers:
        fits = y.shape[-1] is None or y.shape[-1] > 1
    if not fits:
        raise ValueError(
            f"{part}_y must be [tasks, examples, {what}], {_sizes(expected)} beside {part}_x "
            f"{_shown(x)}, got shape {_shown(y)}"
        )
    if loss.classifies and not loss.takes_class_numbers:
        _check_labels(f"{part}_y", y)
    if x.shape[:2].is_fully_defined() and y.shape[:2].is_fully_defined():
        return x, y
    checks = [
        tf.debugging.assert_equal(
            tf.shape(x)[:2],
            tf.shape(y)[:2],
            f"{part}_y must have as many tasks and examples as {part}_x",
        ),
        tf.debugging.assert_positive(
            tf.shape(x)[:2], f"{part}_x must have a task and an example at least"
        ),
    ]
    with tf.control_dependencies(checks):
        return x, tf.identity(y)


def checked_inputs(name: str, x: Any, network: TaskNetwork) -> tf.Tensor:
    """Inputs [tasks, examples, ...] of the network's number type.

    Raises:
        ValueError: they are no numbers, or of another shape.
    """
    x = _tensor(name, x, network)
    expected = [None, None, *(network.example_shape or ())]
    if network.example_shape is None:
        return x
    if not x.shape.is_compatible_with(expected):
        raise ValueError(
            f"{name} must be [tasks, examples, {', '.join(map(str, expected[2:]))}], got shape "
            f"{_shown(x)}"
        )
    return x


def _tensor(name: str, value: Any, network: TaskNetwork) -> tf.Tensor:
    try:
        tensor = tf.convert_to_tensor(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a tensor, got {value!r:.60}") from error
    if not (tensor.dtype.is_floating or tensor.dtype.is_integer or tensor.dtype.is_bool):
        raise ValueError(f"{name} must be numbers, got {tensor.dtype.name}")
    return tf.cast(tensor, network.dtype)


def _check_labels(name: str, y: tf.Tensor) -> None:
    """Check that rows sum to 1, of nothing negative, where their values are known.

    An assertion in a graph has no kernel on a GPU; `MetaLearner.fit` checks an episode before it.
    """
    if tf.is_symbolic_tensor(y):
        return
    sums = tf.reduce_sum(y, axis=-1).numpy()
    wrong = sums[~(abs(sums - 1) <= 1e-3)]  # nan, too
    if len(wrong):
        raise ValueError(f"{name} must be one-hot, but there are rows that sum to {wrong[0]:g}")
    if (least := tf.reduce_min(y).numpy()) < 0:
        raise ValueError(f"{name} must be one-hot, but there are negative numbers, as {least:g}")


def _shown(tensor: tf.Tensor) -> str:
    return _sizes(tensor.shape)


def _sizes(shape: Any) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"
