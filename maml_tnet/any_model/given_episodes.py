"""Episodes as Python gives them, for Keras, whose generators and sequences give x and y alone."""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from maml_tnet.any_model.episode import episode_parts, model_episode
from maml_tnet.any_model.episode_types import EpisodeTypes

OTHER_SIZES = re.compile(
    r"yielded an element of shape (\(.*?\)) where .* shape (\(.*?\)) was expected"
)
OF_A_PROCESS = re.compile(r"^(.*)\nmultiprocessing\.pool\.RemoteTraceback", re.MULTILINE)


class GivenEpisodes:
    """Makes what `fit`, `evaluate` or `predict` is given into what Keras hands on to a step.

    Around Keras' call it is a context: what the user's own code raises is raised as it was, where
    TensorFlow has it as text alone.

    Args:
        check: what an iterator gives.
    """

    def __init__(self, check: Callable[[Any], Any]):
        self.check = check
        self.failures: list[Exception] = []

    def __call__(self, data: Any) -> Any:
        """Make it.

        Args:
            data: an iterator of episodes, such as a generator, or a `keras.utils.PyDataset` of
                them; one episode of many tasks, which Keras cuts; or what Keras takes itself.

        Raises:
            ValueError: it is a list of episodes, or an iterator that gives none.
        """
        if isinstance(data, keras.utils.Sequence) and not isinstance(data, EpisodeSequence):
            return EpisodeSequence(data, self.failures)
        if isinstance(data, Iterator):
            return _dataset(self._kept(data), self.failures)
        is_episode = episode_parts(data) is not None
        # A list as long as an episode is several, too, where its parts are dicts of an episode's
        # names; but (episode, None) is one, as Keras hands it on.
        if isinstance(data, list | tuple) and any(
            episode_parts(part)
            for part in data
            if not is_episode or (isinstance(part, dict) and part is not data[0])
        ):
            raise ValueError(
                "episodes are given by a tf.data.Dataset, a generator or a keras.utils.PyDataset, "
                f"got a {type(data).__name__} of {len(data)}"
            )
        if not is_episode:
            return data
        parts = _with_arrays(data)
        self.check(parts)
        return parts

    def _kept(self, episodes: Iterator[Any]) -> Iterator[dict[str, Any]]:
        """Give checked episodes, and keep what is raised."""
        types = EpisodeTypes()
        try:
            for episode in episodes:
                parts = _with_arrays(episode)
                self.check(parts)
                types.check(parts)
                yield parts
        except Exception as error:
            self.failures.append(error)
            raise

    def __enter__(self) -> "GivenEpisodes":
        return self

    def __exit__(self, kind: Any, error: BaseException | None, _: TracebackType | None) -> None:
        if not isinstance(error, tf.errors.OpError):
            return
        if self.failures:
            raise self.failures[0] from None
        if found := OF_A_PROCESS.search(str(error)):
            raise RuntimeError(f"a process of a keras.utils.PyDataset raised {found[1]}") from error
        if found := OTHER_SIZES.search(str(error)):
            raise ValueError(
                f"an episode has a part of shape {found[1]}, but {found[2]} in those before it: "
                "give a tf.data.Dataset with None for the size that changes, or pad examples, with "
                "a weight of 0"
            ) from error


class EpisodeSequence(keras.utils.Sequence):
    """A `keras.utils.PyDataset` of episodes, each a dict.

    Args:
        given: the user's, of dicts or tuples.
        failures: to which what it raises is added.
    """

    def __init__(self, given: Any, failures: list[Exception]):
        super().__init__(
            workers=given.workers,
            use_multiprocessing=given.use_multiprocessing,
            max_queue_size=given.max_queue_size,
        )
        self.given = given
        self.failures = failures
        self.types = EpisodeTypes()

    def __getitem__(self, index: int) -> Any:
        try:
            parts = _with_arrays(self.given[index])
            self.types.check(parts)
            return parts
        except Exception as error:
            self.failures.append(error)
            raise

    @property
    def num_batches(self) -> int | None:
        """How many there are; None where there is no end."""
        return self.given.num_batches

    def on_epoch_begin(self) -> None:
        """Tell the user's."""
        self.given.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Tell the user's, which may shuffle then."""
        self.given.on_epoch_end()


def _with_arrays(episode: Any) -> dict[str, Any]:
    """An episode as a dict of the parts that it has, without lists, which TensorFlow would stack.

    It may be called in a process of its own, where TensorFlow must not compute.

    Raises:
        ValueError: it is none.
    """
    parts = episode_parts(episode)
    if parts is None:
        model_episode(episode)  # says it
    return {name: _arrays(part) for name, part in (parts or {}).items() if part is not None}


def _arrays(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _arrays(inner) for name, inner in part.items()}
    if isinstance(part, list | tuple) and any(hasattr(inner, "shape") for inner in part):
        return tuple(map(_arrays, part))
    if hasattr(part, "shape"):
        return part
    array = np.asarray(part)
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _dataset(episodes: Iterable[dict[str, Any]], failures: list[Exception]) -> tf.data.Dataset:
    """A dataset of what an iterator gives, once, of any numbers of tasks and examples.

    Other sizes are free where the first two episodes differ, as in Keras. An epoch of nothing,
    whose loss Keras would call 0, is an error, which is added to the failures, too.
    """
    episodes = iter(episodes)
    first = list(itertools.islice(episodes, 2))
    if not first:
        raise ValueError("episodes must come from an iterator, and nothing came from this one")
    left = itertools.chain(first, episodes)

    def spec(*parts: Any) -> tf.TensorSpec:
        sizes, *others = (tf.TensorShape(part.shape[2:]) for part in parts)
        free = tf.TensorShape([None, None])
        shape = free.concatenate(sizes.most_specific_common_supertype(others))
        return tf.TensorSpec(shape, parts[0].dtype)

    def rest() -> Iterator[dict[str, Any]]:
        episode = None
        for episode in left:
            yield episode
        if episode is None:
            failures.append(
                ValueError(
                    "an iterator gives its episodes once, and none is left for another epoch: give "
                    "a tf.data.Dataset or a keras.utils.PyDataset"
                )
            )
            raise failures[-1]

    return tf.data.Dataset.from_generator(
        rest, output_signature=tf.nest.map_structure(spec, *first)
    )
