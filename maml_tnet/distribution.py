"""Several replicas as one process: training and measuring with `tf.distribute`.

Every replica draws all tasks and masks of a meta-batch and computes an equal share of them, so the
mean of the replicas' gradients is the gradient of the meta-batch, whatever their number. It is
taken before anything is done to it, such as clipping. Keras' own `fit` and `predict` do otherwise:
they share out the elements of datasets, of which a span of iterations is one; and Keras 3's do not
run under MultiWorkerMirroredStrategy (github.com/keras-team/keras/issues/20585).
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from maml_tnet.compat import build_optimizer
from maml_tnet.given_data import NOTHING


def strategy_in_scope() -> tf.distribute.Strategy | None:
    """The strategy in whose scope this is called; None outside of all."""
    return tf.distribute.get_strategy() if tf.distribute.has_strategy() else None


def _replicas() -> int:
    """How many replicas compute the same now: 1 where not several do."""
    context = tf.distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


def own_share(batch: Any) -> Any:
    """The tasks of a meta-batch that this replica computes.

    Args:
        batch: nested tensors [tasks, ...].

    Returns:
        the same of [tasks / replicas, ...]; where there is one replica, the batch itself.

    Raises:
        ValueError: the tasks are not a multiple of the replicas, or their number is unknown.
    """
    replicas = _replicas()
    if replicas == 1:
        return batch
    tasks = tf.nest.flatten(batch)[0].shape[0]
    if tasks is None or tasks % replicas:
        found = "an unknown number of" if tasks is None else tasks
        raise ValueError(
            f"a meta-batch must have a multiple of {replicas} tasks, one share for each of the "
            f"{replicas} replicas, got {found} tasks"
        )
    number = tf.distribute.get_replica_context().replica_id_in_sync_group
    return tf.nest.map_structure(
        lambda x: tf.reshape(x, [replicas, tasks // replicas, *x.shape[1:]])[number], batch
    )


def mean_over_replicas(values: Any) -> Any:
    """The mean of nested tensors over the replicas, the same on all of them."""
    if _replicas() == 1:
        return values
    reduced = tf.distribute.get_replica_context().all_reduce(
        tf.distribute.ReduceOp.MEAN, tf.nest.flatten(values)
    )
    return tf.nest.pack_sequence_as(values, reduced)


def on_every_replica(
    strategy: tf.distribute.Strategy | None, function: Callable[..., Any], *arguments: Any
) -> Any:
    """Call a function that returns the same nested tensors on every replica; return them."""
    if strategy is None:
        return function(*arguments)
    results = strategy.run(function, arguments)
    return tf.nest.map_structure(lambda x: strategy.experimental_local_results(x)[0], results)


class MeanOfProcess:
    """A mean that each process has whole, of numbers that all have.

    Keras' own, made under a strategy, has a part on every replica, and reading it is communication.

    Args:
        name: of what it is the mean.
    """

    def __init__(self, name: str):
        self.name = name
        self.variables = [tf.Variable(0.0, trainable=False) for _ in ("total", "count")]

    def update_state(self, value: tf.Tensor, sample_weight: tf.Tensor) -> None:
        """Add a number with a weight."""
        weight = tf.cast(sample_weight, tf.float32)
        for variable, more in zip(
            self.variables, (tf.cast(value, tf.float32) * weight, weight), strict=True
        ):
            variable.assign_add(more)

    def result(self) -> tf.Tensor:
        """The mean; 0 of nothing."""
        return tf.math.divide_no_nan(*(tf.convert_to_tensor(v) for v in self.variables))

    def reset_state(self) -> None:
        """Begin anew."""
        for variable in self.variables:
            variable.assign(0.0)


class Engine:
    """What `MetaLearner` does under a strategy in place of Keras' `fit`, `evaluate` and `predict`.

    In each process the same calls must be made, with datasets of the same elements.

    Args:
        learner: the `MetaLearner`, being compiled.
        strategy: in whose scope it was made.
    """

    def __init__(self, learner: Any, strategy: tf.distribute.Strategy):
        self._learner = learner
        self._strategy = strategy
        self._train = tf.function(learner.train_step, autograph=False)
        self._measure = tf.function(self._together(learner.measure_step), autograph=False)
        self._predict = tf.function(self._together(learner.predict_step), autograph=False)

    def _together(self, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Of a function of numbered tasks, whose replicas give their shares: what all give."""

        def gathered(numbered: Any) -> Any:
            shares = self._strategy.run(step, (numbered,))
            return {name: self._strategy.gather(x, axis=0) for name, x in shares.items()}

        return gathered

    def fit(
        self,
        x: tf.data.Dataset,
        *,
        epochs: int = 1,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_data: tf.data.Dataset | None = None,
        callbacks: Any = None,
        verbose: int | str = 0,
        shuffle: bool = False,
    ) -> keras.callbacks.History:
        """Keras' `fit` on a dataset of spans, see `MetaLearner`.

        Raises:
            ValueError: nothing came from the dataset.
        """
        del shuffle  # As in Keras, it says nothing of a dataset.
        learner = self._learner
        with self._strategy.scope():
            build_optimizer(learner.optimizer, learner.trainable_variables)
        history = keras.callbacks.History()
        told = keras.callbacks.CallbackList(
            [*tf.nest.flatten(callbacks or []), history],
            add_progbar=verbose not in (0, "0"),
            model=learner,
            epochs=epochs,
            steps=steps_per_epoch,
            verbose=1 if verbose == "auto" else verbose,
        )
        learner.stop_training = False
        spans = None if steps_per_epoch is None else iter(x)
        told.on_train_begin()
        logs: dict[str, float] = {}
        taken = False
        for epoch in range(initial_epoch, epochs):
            for meter in learner.metrics:
                meter.reset_state()
            told.on_epoch_begin(epoch)
            for step, span in enumerate(x if spans is None else _some(spans, steps_per_epoch)):
                told.on_train_batch_begin(step)
                with self._strategy.scope():
                    logs = {name: float(value) for name, value in self._train(span).items()}
                told.on_train_batch_end(step, logs)
                taken = True
            if not taken:
                raise ValueError(f"fit {NOTHING}")
            if validation_data is not None:
                told.on_test_begin()
                found = self.evaluate(validation_data, return_dict=True)
                told.on_test_end(found)
                logs = logs | {f"val_{name}": value for name, value in found.items()}
            told.on_epoch_end(epoch, logs)
            if learner.stop_training:
                break
        told.on_train_end(logs)
        return history

    def evaluate(
        self, x: tf.data.Dataset, *, return_dict: bool = False, verbose: int | str = 0
    ) -> Any:
        """Keras' `evaluate` on a dataset of (numbers, episode): the measures' means over tasks."""
        del verbose  # It is soon done.
        values = self._of_all("evaluate", self._measure, x)
        means = {name: float(np.mean(value)) for name, value in values.items()}
        return means if return_dict else list(means.values())

    def predict(self, x: tf.data.Dataset, *, verbose: int | str = 0) -> dict[str, np.ndarray]:
        """Keras' `predict` on a dataset of (numbers, episode)."""
        del verbose
        return self._of_all("predict", self._predict, x)

    def _of_all(
        self, what: str, measure: Callable[[Any], dict[str, tf.Tensor]], x: tf.data.Dataset
    ) -> dict[str, np.ndarray]:
        """The values of every task of a dataset, [tasks, ...]."""
        replicas = self._strategy.num_replicas_in_sync
        found: dict[str, list[np.ndarray]] = {}
        for numbered in x:
            tasks = int(numbered[0].shape[0])
            # Where tasks cannot be shared out evenly, the last one is measured several times.
            places = np.minimum(np.arange(tasks + -tasks % replicas), tasks - 1)
            if len(places) > tasks:
                numbered = tf.nest.map_structure(lambda v, at=places: tf.gather(v, at), numbered)
            with self._strategy.scope():
                values = measure(numbered)
            for name, value in values.items():
                found.setdefault(name, []).append(value.numpy()[:tasks])
        if not found:
            raise ValueError(f"{what} {NOTHING}")
        return {name: np.concatenate(values) for name, values in found.items()}


def _some(spans: Iterator[Any], number: int | None) -> Iterator[Any]:
    """So many of them."""
    return (span for _, span in zip(range(number or 0), spans, strict=False))
