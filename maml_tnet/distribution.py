"""Several replicas as one process: training and measuring with `tf.distribute`.

Every replica draws all tasks and masks of a meta-batch and computes an equal share of them, so the
mean of the replicas' gradients is the gradient of the meta-batch, whatever their number. It is
taken before anything is done to it, such as clipping. Keras' own `fit` and `predict` do otherwise:
they share out the elements of datasets, of which a span of iterations is one; and Keras 3's do not
run under MultiWorkerMirroredStrategy (github.com/keras-team/keras/issues/20585).
"""

import contextlib
import itertools
import warnings
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from maml_tnet.agreement import check_agreement
from maml_tnet.arguments import whole_number
from maml_tnet.compat import (
    backs_up_within_epochs,
    begin_training,
    build_optimizer,
    optimizer_variables,
    tf_variable,
)
from maml_tnet.given_data import NOTHING
from maml_tnet.processes import Processes, lost_in_words


def strategy_in_scope() -> tf.distribute.Strategy | None:
    """The strategy in whose scope this is called; None outside of all."""
    return tf.distribute.get_strategy() if tf.distribute.has_strategy() else None


def check_made_in_scope(
    name: str, variables: Sequence[Any], strategy: tf.distribute.Strategy | None
) -> None:
    """Check that what a learner computes with was made in the scope in which the learner was.

    Args:
        name: of it.
        variables: its own.
        strategy: in whose scope the learner was made; None for outside of all.

    Raises:
        ValueError: a variable was made elsewhere.
    """
    for variable in map(tf_variable, variables):
        if strategy is None and isinstance(variable, tf.distribute.DistributedValues):
            raise ValueError(
                f"the {name} was made in the scope of a tf.distribute strategy and the learner was "
                "not: make the learner in `with strategy.scope():`, too"
            )
        if strategy is not None and not strategy.extended.variable_created_in_scope(variable):
            raise ValueError(
                f"the learner was made in the scope of a tf.distribute strategy and the {name} was "
                f"not: make the {name} in `with strategy.scope():`, too"
            )


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

    In each process the same calls must be made, with datasets of the same elements. Where there are
    several, `fit` compares what can be compared before it begins, all begin with the chief's
    weights and optimizer, and `keras.callbacks.BackupAndRestore` is the chief's alone.

    Args:
        learner: the `MetaLearner`, being compiled.
        strategy: in whose scope it was made.
    """

    def __init__(self, learner: Any, strategy: tf.distribute.Strategy):
        self._learner = learner
        self._strategy = strategy
        self._processes = None
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            self._processes = Processes(strategy)
        self._train = tf.function(learner.train_step, autograph=False)
        self._measure = tf.function(self._together(learner.measure_step), autograph=False)
        self._predict = tf.function(self._together(learner.predict_step), autograph=False)

    @contextlib.contextmanager
    def _computing(self) -> Iterator[None]:
        """The strategy's scope, in which another process may end."""
        several = contextlib.nullcontext() if self._processes is None else lost_in_words()
        with self._strategy.scope(), several:
            yield

    def _together(self, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Of a function of numbered tasks, whose replicas give their shares: what all give."""

        def gathered(numbered: Any) -> Any:
            shares = self._strategy.run(step, (numbered,))
            return {name: self._strategy.gather(x, axis=0) for name, x in shares.items()}

        return gathered

    def fit(
        self,
        x: tf.data.Dataset,
        *unnamed: Any,
        epochs: int = 1,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_data: tf.data.Dataset | None = None,
        validation_steps: int | None = None,
        validation_freq: int | Container[int] = 1,
        callbacks: Any = None,
        verbose: int | str = 0,
        shuffle: bool = False,
        **others: Any,
    ) -> keras.callbacks.History:
        """Keras' `fit` on a dataset of spans, see `MetaLearner`.

        With `keras.callbacks.BackupAndRestore` it goes on after the last epoch that was backed up.
        Where the dataset gives fewer than `steps_per_epoch`, or nothing any more, training ends
        with a warning.

        Raises:
            ValueError: nothing came from the dataset, an argument that it does not take, a number
                of steps that is none, backups within epochs, or something else in one process
                than in another.
            WorkerLostError: another process has ended before its time.
        """
        del shuffle  # As in Keras, it says nothing of a dataset.
        _refuse("fit", unnamed, others)
        _check_steps("steps_per_epoch", steps_per_epoch)
        _check_steps("validation_steps", validation_steps)
        if not isinstance(validation_freq, Container):
            every = whole_number("validation_freq", validation_freq, least=1)
            validation_freq = range(every, epochs + 1, every)
        given = tf.nest.flatten(callbacks or [])
        if any(map(backs_up_within_epochs, given)):
            raise ValueError(
                "under a tf.distribute strategy BackupAndRestore goes on from the ends of epochs "
                "alone: give it save_freq='epoch', and no save_before_preemption"
            )
        learner = self._learner
        backups = [c for c in given if isinstance(c, keras.callbacks.BackupAndRestore)]
        if self._processes is not None:
            given_numbers = {
                "epochs": epochs,
                "initial_epoch": initial_epoch,
                "steps_per_epoch": steps_per_epoch,
                "validation_steps": validation_steps,
                "the number of epochs with validation": sum(
                    validation_data is not None and epoch + 1 in validation_freq
                    for epoch in range(initial_epoch, epochs)
                ),
                "the number of BackupAndRestore": len(backups),
            }
            check_agreement(self._processes, learner, given_numbers)
            if not self._processes.is_chief:
                given = [c for c in given if c not in backups]
        with self._strategy.scope():
            build_optimizer(learner.optimizer, learner.trainable_variables)
        history = keras.callbacks.History()
        told = keras.callbacks.CallbackList(
            [*given, history],
            add_progbar=verbose not in (0, "0"),
            model=learner,
            epochs=epochs,
            steps=steps_per_epoch,
            verbose=1 if verbose == "auto" else verbose,
        )
        learner.stop_training = False
        spans: Any = None
        first_epoch = begin_training(told, learner, initial_epoch)
        if self._processes is not None:
            variables = [*learner.variables, *optimizer_variables(learner.optimizer)]
            self._processes.copy_from_chief(list(map(tf_variable, variables)))
            (first_epoch,) = self._processes.of_chief([first_epoch]).astype(int)
        logs: dict[str, float] = {}
        for epoch in range(first_epoch, epochs):
            for meter in learner.metrics:
                meter.reset_state()
            told.on_epoch_begin(epoch)
            steps = 0
            if spans is None or steps_per_epoch is None:
                spans = iter(x)
            for span in itertools.islice(spans, steps_per_epoch):
                told.on_train_batch_begin(steps)
                with self._computing():
                    logs = {name: float(value) for name, value in self._train(span).items()}
                told.on_train_batch_end(steps, logs)
                steps += 1
                if learner.stop_training:
                    break
            if not steps and epoch == first_epoch:
                raise ValueError(f"fit {NOTHING}")
            if steps < (steps_per_epoch or 1) and not learner.stop_training:
                warnings.warn(
                    f"fit's dataset ran out in epoch {epoch + 1} of {epochs}, after {steps} steps, "
                    "and training ends there: it needs steps_per_epoch * epochs elements, such as "
                    "by dataset.repeat()",
                    stacklevel=3,
                )
                learner.stop_training = True
            if not steps:
                break
            if validation_data is not None and epoch + 1 in validation_freq:
                told.on_test_begin()
                found = self.evaluate(validation_data, steps=validation_steps, return_dict=True)
                told.on_test_end(found)
                logs = logs | {f"val_{name}": value for name, value in found.items()}
            told.on_epoch_end(epoch, logs)
            if learner.stop_training:
                break
        told.on_train_end(logs)
        return history

    def evaluate(
        self,
        x: tf.data.Dataset,
        *unnamed: Any,
        steps: int | None = None,
        return_dict: bool = False,
        verbose: int | str = 0,
        **others: Any,
    ) -> Any:
        """Keras' `evaluate` on a dataset of (numbers, episode): the measures' means over tasks.

        Raises:
            ValueError: nothing came from the dataset, an argument that it does not take, or a
                number of steps that is none.
        """
        del verbose  # It is soon done.
        _refuse("evaluate", unnamed, others)
        values = self._of_all("evaluate", self._measure, x, steps)
        means = {name: float(np.mean(value)) for name, value in values.items()}
        return means if return_dict else list(means.values())

    def predict(
        self,
        x: tf.data.Dataset,
        *unnamed: Any,
        steps: int | None = None,
        verbose: int | str = 0,
        **others: Any,
    ) -> dict[str, np.ndarray]:
        """Keras' `predict` on a dataset of (numbers, episode); see `evaluate`."""
        del verbose
        _refuse("predict", unnamed, others)
        return self._of_all("predict", self._predict, x, steps)

    def _of_all(
        self,
        what: str,
        measure: Callable[[Any], dict[str, tf.Tensor]],
        x: tf.data.Dataset,
        steps: int | None,
    ) -> dict[str, np.ndarray]:
        """The values of every task of a dataset, or of its first steps, [tasks, ...]."""
        _check_steps("steps", steps)
        replicas = self._strategy.num_replicas_in_sync
        found: dict[str, list[np.ndarray]] = {}
        taken = 0
        for numbered in itertools.islice(x, steps):
            taken += 1
            tasks = int(numbered[0].shape[0])
            # Where tasks cannot be shared out evenly, the last one is measured several times.
            places = np.minimum(np.arange(tasks + -tasks % replicas), tasks - 1)
            if len(places) > tasks:
                numbered = tf.nest.map_structure(lambda v, at=places: tf.gather(v, at), numbered)
            with self._computing():
                values = measure(numbered)
            for name, value in values.items():
                found.setdefault(name, []).append(value.numpy()[:tasks])
        if not found:
            raise ValueError(f"{what} {NOTHING}")
        if taken < (steps or 0):
            warnings.warn(f"{what}'s dataset ran out after {taken} of {steps} steps", stacklevel=4)
        return {name: np.concatenate(values) for name, values in found.items()}


def _refuse(what: str, unnamed: Sequence[Any], others: Mapping[str, Any]) -> None:
    """Refuse what Keras' methods may take, and an engine's do not.

    Args:
        what: the method.
        unnamed: given behind the dataset.
        others: given by name.

    Raises:
        ValueError: there is something.
    """
    if unnamed:
        raise ValueError(
            f"{what} under a tf.distribute strategy takes a dataset, and all else by name, got "
            f"{unnamed[0]!r:.40}"
        )
    for name, value in others.items():
        if value is not None:
            raise ValueError(f"{what} takes no {name} under a tf.distribute strategy: leave it out")


def _check_steps(name: str, steps: int | None) -> None:
    """Refuse a number of steps that is none; None for all of a dataset."""
    if steps is not None:
        whole_number(name, steps, least=1)
