"""The meta-learner: a Keras model whose train step is the meta-update of Algorithm 2."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from maml_tnet.adaptation import Examples, InnerStep, adaptation_path, examples
from maml_tnet.arguments import (
    LEAST_INT32,
    check_dataset,
    check_function,
    check_nothing_beside,
    check_training_data,
    finite_number,
    true_or_false,
    whole_number,
)
from maml_tnet.compat import apply_mean_gradients, optimizer_variables, tf_variable
from maml_tnet.distribution import (
    Engine,
    MeanOfProcess,
    check_made_in_scope,
    mean_over_replicas,
    on_every_replica,
    own_share,
    strategy_in_scope,
)
from maml_tnet.given_data import Learner
from maml_tnet.going_on import going_on, rest_of_spans
from maml_tnet.kernels.parts import map_parts
from maml_tnet.kernels.task_axis import sizes
from maml_tnet.loss_gradients import warn_of_not_finite, with_zeros
from maml_tnet.losses import TaskLoss, task_loss
from maml_tnet.masks import mask_noise, most_likely_masks, sample_masks
from maml_tnet.second_derivatives import missing_derivatives
from maml_tnet.spans import checked_span, checked_spans, spans_refused_in_words
from maml_tnet.task_episode import (
    EpisodeLike,
    check_same_tasks,
    checked_episode,
    checked_examples,
    checked_held_out,
    checked_inputs,
    warn_of_constants,
)
from maml_tnet.task_network import TaskNetwork

MASK_CHOICES = ("sample", "mode")
# Offsets of the first word of a mask seed, so that no two uses share a random stream.
EVALUATION_MASK_STREAM = 1_000_003
STEP_STREAM = 10_000_019
NO_KERAS_FILE = (
    "a MetaLearner cannot be a file of Keras: maml_tnet.export writes a SavedModel that adapts "
    "and predicts, save_weights('NAME.weights.h5') the weights alone"
)

MaskNoise = list[list[tf.Tensor]]
"""For every draw of masks (one for all inner steps, or one a step): [tasks, ..., units] for every
tensor of logits; empty where no mask is drawn."""
Masks = list[list[Any]]
"""M for every inner step and weight, [..., tasks, units], or 1 without masks."""


def evaluation_mask_seeds(numbers: tf.Tensor) -> tf.Tensor:
    """Keys of the masks of held-out tasks, by their numbers [tasks]: int32 [tasks, 2]."""
    numbers = tf.cast(numbers, tf.int32)
    return tf.stack([tf.fill(tf.shape(numbers), EVALUATION_MASK_STREAM), numbers], axis=-1)


class MetaLearner(Learner):
    """MAML, Meta-SGD, T-net or MT-net, depending on the network's T and masks and on `meta_sgd`.

    `compile` it with an optimizer and a loss, and `fit` it on a dataset of spans (start, stop) of
    iteration numbers: one Keras batch runs the meta-iterations start, ..., stop - 1 inside the
    compiled function, drawing their episodes there. What an iteration does is a pure function of
    the parameters, the seed and its number, so a run that is stopped after any of them and goes on
    later ends with the same weights.

    `evaluate` and `predict` take datasets of (numbers, episode): `predict` returns every task's
    loss (and accuracy) on its queries after 0, 1, ..., `evaluation_updates` inner steps, and where
    the answer to a query depends on the others also the accuracy with each query asked alone.

    Made in the scope of a `tf.distribute` strategy, with its network, and compiled there, it shares
    the tasks of a meta-batch out over the replicas, see `distribution`.

    Args:
        network: the task network.
        sample_episode: iteration number (scalar int32 tensor) -> training episode, a named tuple.
        update_lr: alpha, in the unit that `losses` describes; Meta-SGD's initial step sizes.
        num_updates: inner steps in training.
        evaluation_updates: inner steps that `predict` reports.
        first_order: do not differentiate through the inner gradients.
        meta_sgd: learn a step size for every weight that adapts.
        temperature: of the masks, T of equation (11).
        evaluation_mask: "sample" or "mode": how M is had in evaluation.
        meta_grad_clip: bound on every component of the meta-gradient; 0 for none.
        seed: of the masks.

    Raises:
        ValueError: a number out of range, a choice that is neither True nor False, an unknown
            `evaluation_mask`, or `sample_episode` is no function of one argument.

    Given another Keras model than this package's networks, `MetaLearner(model, ...)` is an
    `any_model.ModelLearner`, as `keras.Model(inputs, outputs)` is a functional model. A class of
    one's own for such models derives from `ModelLearner`.
    """

    def __new__(cls, network: Any, *args: Any, **kwargs: Any) -> Any:
        """Choose the learner that a network needs.

        Raises:
            ValueError: a class that derives from this one is given another Keras model.
        """
        if cls is MetaLearner and not hasattr(network, "transform_layers"):
            from maml_tnet.any_model.model_learner import ModelLearner

            return ModelLearner(network, *args, **kwargs)
        if isinstance(network, keras.Model) and not hasattr(network, "transform_layers"):
            raise ValueError(
                f"{cls.__name__} derives from MetaLearner, which takes this package's networks, "
                f"and was given a {type(network).__name__}: derive it from "
                "maml_tnet.ModelLearner, which takes any Keras model"
            )
        return super().__new__(cls)

    def __init__(
        self,
        network: TaskNetwork,
        *,
        sample_episode: Callable[[tf.Tensor], EpisodeLike],
        update_lr: float,
        num_updates: int,
        evaluation_updates: int = 10,
        first_order: bool = False,
        meta_sgd: bool = False,
        temperature: float = 1.0,
        evaluation_mask: str = "sample",
        meta_grad_clip: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_function("sample_episode", sample_episode, "an iteration's number")
        if evaluation_mask not in MASK_CHOICES:
            raise ValueError(
                f"evaluation_mask must be one of {MASK_CHOICES}, got {evaluation_mask!r}"
            )
        self.network = network
        self.sample_episode = sample_episode
        self.update_lr = finite_number("update_lr", update_lr, least=0)
        self.num_updates = whole_number("num_updates", num_updates, least=1)
        self.evaluation_updates = whole_number("evaluation_updates", evaluation_updates, least=0)
        self.first_order = true_or_false("first_order", first_order)
        self.temperature = finite_number("temperature", temperature, above=0)
        self.evaluation_mask = evaluation_mask
        self.meta_grad_clip = finite_number("meta_grad_clip", meta_grad_clip, least=0)
        self.seed = whole_number("seed", seed, least=LEAST_INT32)
        self._task_loss: TaskLoss | None = None
        self.strategy = strategy_in_scope()
        self.step_size_variables = []
        if true_or_false("meta_sgd", meta_sgd):
            self.step_size_variables = [
                self.add_weight(
                    name=f"step_size{i}",
                    shape=shape,
                    initializer=keras.initializers.Constant(update_lr),
                )
                for i, shape in enumerate(network.fast_weight_shapes)
            ]
        self.meters: list[Any] = []
        self.engine: Engine | None = None
        self.built = True

    def compile(self, optimizer: Any = "adam", loss: Any = None, **kwargs: Any) -> None:
        """Keras' `compile`; the loss is the tasks', in whose unit alpha is.

        Args:
            optimizer: of the meta-update.
            loss: `losses.squared_error`, `losses.cross_entropy`, or a Keras loss on logits.
            **kwargs: `jit_compile` and the like.

        Raises:
            ValueError: no optimizer, one or a network made in the scope of another strategy than
                the learner, a loss that `losses.task_loss` refuses, a loss of classes for a network
                of one output, or Keras' metrics.
        """
        if optimizer is None:
            raise ValueError("compile with an optimizer, got None")
        for name in ("metrics", "weighted_metrics", "loss_weights"):
            if kwargs.get(name) is not None:
                raise ValueError(f"a MetaLearner measures loss and accuracy alone, got {name}")
        chosen = task_loss(loss, first_order=self.first_order)
        if chosen.classifies and self.network.outputs_per_example == 1:
            raise ValueError(
                "a loss of classes needs a network with an output for each of them, got one output"
            )
        if chosen.takes_class_numbers and self.network.outputs_per_example is None:
            raise ValueError(
                f"{type(self.network).__name__} makes its head of one-hot rows: compile with "
                "maml_tnet.losses.class_mean_cross_entropy"
            )
        check_made_in_scope("network", self.network.variables, self.strategy)
        self._task_loss = chosen
        with contextlib.nullcontext() if self.strategy is None else self.strategy.scope():
            super().compile(optimizer=optimizer, **kwargs)
        check_made_in_scope("optimizer", optimizer_variables(self.optimizer), self.strategy)
        measures = ["pre_loss", "loss"]
        if self.task_loss.classifies:
            measures += ["pre_accuracy", "accuracy"]
        self.meters = [
            keras.metrics.Mean(name=name) if self.strategy is None else MeanOfProcess(name)
            for name in measures
        ]
        self.engine = None if self.strategy is None else Engine(self, self.strategy)

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Keras' `fit` on a dataset of spans; under a strategy, `distribution.Engine`'s.

        With `keras.callbacks.BackupAndRestore`, a run that is started again goes on in its dataset
        where it stopped.

        A span ends at an iteration whose loss is not finite; see `train_step`. Of an epoch's mean
        loss that is not finite there is a warning at the end. A span (start, start) is of no
        iteration, and of an epoch of such spans alone the loss is 0.0.

        Raises:
            ValueError: no dataset, an empty one, one that never ends, something beside it, an
                episode is not what the network and the loss take, see `checked_episode`; or a span
                of a `tf.data.Dataset`, where it comes, is reversed, or of numbers below 0 or beyond
                int32.
        """
        check_training_data(x, {**kwargs, "y": y}, "fit on spans (start, stop)")
        # One of them here, as a graph's labels have no values.
        checked_episode(self.sample_episode(tf.constant(0)), self.network, self.task_loss)
        x = checked_spans(x)
        if "callbacks" in kwargs and isinstance(x, tf.data.Dataset):
            rest = rest_of_spans(x, kwargs.get("steps_per_epoch"))
            elsewhere = self.engine is not None
            x, kwargs["callbacks"] = going_on(
                self, x, kwargs["callbacks"], rest, elsewhere=elsewhere
            )
        with spans_refused_in_words():
            if self.engine is None:
                history = super().fit(x, y, *args, **kwargs)
            else:
                history = self.engine.fit(x, *args, **kwargs)
        warn_of_not_finite(history)
        return history

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Keras' `train_on_batch`, which adds targets and weights to a span that has none.

        Raises:
            NotImplementedError: always, saying what to use.
        """
        raise NotImplementedError(
            "a MetaLearner has no train_on_batch: call train_step((start, stop)) with two scalar "
            "int32 tensors, compiled by tf.function(learner.train_step), or fit on a dataset of "
            "spans"
        )

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Keras' `evaluate` on a dataset of numbered tasks; see `fit`."""
        what = "evaluate on (numbers, episode)"
        check_dataset(x, kwargs.get("steps"), what, "steps")
        check_nothing_beside({**kwargs, "y": y}, what)
        if self.engine is None:
            return super().evaluate(x, y, *args, **kwargs)
        return self.engine.evaluate(x, *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Keras' `predict` on a dataset of numbered tasks; see `fit`."""
        check_dataset(x, kwargs.get("steps"), "predict on (numbers, episode)", "steps")
        if self.engine is None:
            return super().predict(x, *args, **kwargs)
        return self.engine.predict(x, *args, **kwargs)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Keras' `save`, which cannot be: where tasks come from is a function of the program's.

        Raises:
            NotImplementedError: always, saying what to use.
        """
        raise NotImplementedError(NO_KERAS_FILE)

    def export(self, *args: Any, **kwargs: Any) -> None:
        """Keras' `export`, whose SavedModel could not learn; see `save`."""
        raise NotImplementedError(NO_KERAS_FILE)

    def get_config(self) -> dict[str, Any]:
        """Keras' description of a model for its files; see `save`."""
        raise NotImplementedError(NO_KERAS_FILE)

    @property
    def task_loss(self) -> TaskLoss:
        """What tasks descend.

        Raises:
            ValueError: the learner is not compiled.
        """
        if self._task_loss is None:
            raise ValueError("compile the learner first: its loss is what tasks descend")
        return self._task_loss

    @property
    def replicas(self) -> int:
        """Over how many replicas tasks are shared out."""
        return 1 if self.strategy is None else self.strategy.num_replicas_in_sync

    @property
    def metrics(self) -> list[Any]:
        """Means over an epoch: loss (and accuracy) before adaptation, on the support examples,
        and after it, on the queries."""
        return self.meters

    @property
    def step_sizes(self) -> list[tf.Tensor | float]:
        """Alpha for every adapted weight: a number, or Meta-SGD's tensors [..., 1, units]."""
        if self.step_size_variables:
            return [tf.expand_dims(alpha, -2) for alpha in self.step_size_variables]
        return [self.update_lr] * len(self.network.fast_weight_shapes)

    def mask_noise(self, tasks: int | tf.Tensor, steps: int, seed: tf.Tensor) -> MaskNoise:
        """Draw what decides the masks of `tasks` tasks.

        Masks per unit are drawn once for all steps of a task; masks per weight at every step, as
        in the original code.

        Args:
            tasks: number of tasks.
            steps: number of inner steps.
            seed: int32 [2], or [tasks, 2], a key for every task.
        """
        logits = self.network.mask_logits
        if not logits:
            return []
        draws = steps if self.network.masks_each_step else min(steps, 1)
        offsets = [tf.constant([step * STEP_STREAM, 0]) for step in range(draws)]
        return [mask_noise(logits, tasks, seed + offset) for offset in offsets]

    def masks(self, steps: int, noise: MaskNoise) -> Masks:
        """M for every inner step and weight: drawn, or without noise at its mode; 1 without masks.

        Args:
            steps: number of inner steps.
            noise: of `mask_noise`.
        """
        logits, expand = self.network.mask_logits, self.network.masks_of_weights
        if not logits:
            return [[1] * len(self.network.fast_weight_shapes)] * steps
        if not noise:
            return [expand(most_likely_masks(logits))] * steps
        drawn = [expand(sample_masks(logits, draw, self.temperature)) for draw in noise]
        return drawn if len(drawn) == steps else drawn * steps

    def adapted(
        self, episode: EpisodeLike, steps: int, noise: MaskNoise
    ) -> tuple[Examples, Examples, list[InnerStep]]:
        """Adapt to an episode: its prepared support and query examples, and the path of weights."""
        support = examples(self.network, episode.support_x, episode.support_y)
        query = Examples(
            self.network.prepare_queries(episode.query_x, episode.support_x),
            tf.transpose(episode.query_y, [1, 0, 2]),
        )
        path = adaptation_path(
            self.network,
            self.task_loss.values,
            support,
            tasks=episode.support_x.shape[0] or tf.shape(episode.support_x)[0],
            step_sizes=self.step_sizes,
            masks=self.masks(steps, noise),
            first_order=self.first_order,
        )
        return support, query, list(path)

    def meta_gradient(
        self, episode: EpisodeLike, mask_seed: tf.Tensor
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """The gradient of line 11 of Algorithm 2, by differentiating through the inner steps.

        Args:
            episode: the meta-batch.
            mask_seed: int32 [2], the key from which its masks are drawn.

        Returns:
            gradients of the mean query loss with respect to `trainable_variables`, and the
            measures (pre_loss, loss[, pre_accuracy, accuracy]), means over the tasks.

        Raises:
            ValueError: see `checked_episode`.
        """
        episode = checked_episode(episode, self.network, self.task_loss)
        tasks = episode.support_x.shape[0]
        noise = self.mask_noise(
            tasks or tf.shape(episode.support_x)[0], self.num_updates, mask_seed
        )
        return self.mean_over_parts(self._part_meta_gradient, (episode, noise))

    def _part_meta_gradient(
        self, part: tuple[EpisodeLike, MaskNoise]
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        episode, noise = part
        with tf.GradientTape() as tape:
            support, query, path = self.adapted(episode, self.num_updates, noise)
            outputs = self.network.forward(query.inputs, path[-1].fast_weights)
            support_size = tf.shape(support.targets)[0]
            loss = tf.reduce_mean(self.task_loss.values(outputs, query.targets, support_size))
        before = self.measures(path[1].support_outputs, support, support_size)
        after = self.measures(outputs, query, support_size)
        means = [
            tf.reduce_mean(value) for pair in zip(before, after, strict=True) for value in pair
        ]
        return self.gradients(tape, loss), means

    def measures(
        self, outputs: tf.Tensor, examples: Examples, support_size: tf.Tensor
    ) -> list[tf.Tensor]:
        """Every task's loss (and accuracy) on examples, each [tasks]."""
        values = [self.task_loss.values(outputs, examples.targets, support_size)]
        if self.task_loss.classifies:
            values.append(self.task_loss.accuracy(outputs, examples.targets))
        return values

    def mean_over_parts(
        self,
        gradient: Callable[[Any], tuple[list[tf.Tensor], list[tf.Tensor]]],
        batch: tuple[EpisodeLike, MaskNoise],
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Gradients and measures of a meta-batch, each the mean of those of its parts.

        Of several replicas each has those of its own share.
        """
        batch = own_share(batch)
        support_x = batch[0].support_x
        dtype = self.network.dtype
        stacked = map_parts(
            gradient,
            batch,
            self.network.part_of(support_x.shape[0], support_x),
            outputs=(
                [tf.TensorSpec(v.shape, dtype) for v in self.trainable_variables],
                [tf.TensorSpec([], dtype) for _ in self.meters],
            ),
        )
        return tf.nest.map_structure(lambda values: tf.reduce_mean(values, axis=0), stacked)

    def gradients(self, tape: tf.GradientTape, loss: tf.Tensor) -> list[tf.Tensor]:
        """Of the loss with respect to `trainable_variables`, zeros where it does not depend.

        Raises:
            ValueError: it depends on none of them, or TensorFlow lacks a derivative.
        """
        variables = [tf_variable(variable) for variable in self.trainable_variables]
        with missing_derivatives():
            return with_zeros(tape.gradient(loss, variables), variables)

    def iteration_gradient(self, iteration: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Draw the iteration's episode and masks, and differentiate: see `meta_gradient`."""
        episode = self.sample_episode(iteration)
        warn_of_constants(iteration, episode)
        return self.meta_gradient(episode, tf.stack([self.seed, iteration]))

    def meta_step(self, iteration: tf.Tensor) -> list[tf.Tensor]:
        """One meta-iteration: its gradient, clipped, and the optimizer's step.

        Args:
            iteration: its number, a scalar int32.

        Returns:
            the measures, scalars.
        """
        gradients, measures = mean_over_replicas(self.iteration_gradient(iteration))
        if self.meta_grad_clip:
            gradients = [
                tf.clip_by_value(g, -self.meta_grad_clip, self.meta_grad_clip) for g in gradients
            ]
        apply_mean_gradients(self.optimizer, gradients, self.trainable_variables)
        return measures

    def train_step(self, span: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Run the meta-iterations start, ..., stop - 1, or up to the first non-finite loss.

        Args:
            span: (start, stop), scalar int32.

        Returns:
            the means over the epoch so far, and "iteration": the number of iterations done, which
            is less than `stop` if the loss of that iteration (counted from 0) was not finite.

        Raises:
            ValueError: it is no span.
        """
        start, stop = checked_span(span)
        totals = [tf.zeros([], self.network.dtype) for _ in self.meters]

        def go_on(iteration: tf.Tensor, finite: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
            return (iteration < stop) & finite

        def run(iteration: tf.Tensor, _: tf.Tensor, *totals: tf.Tensor) -> Sequence[tf.Tensor]:
            measures = on_every_replica(self.strategy, self.meta_step, iteration)
            finite = tf.math.is_finite(measures[1])
            done = iteration + tf.cast(finite, tf.int32)
            return done, finite, *(t + m for t, m in zip(totals, measures, strict=True))

        iteration, _, *totals = tf.while_loop(go_on, run, [start, True, *totals])
        count = tf.cast(stop - start, self.network.dtype)
        for meter, total in zip(self.meters, totals, strict=True):
            meter.update_state(tf.math.divide_no_nan(total, count), sample_weight=count)
        return {meter.name: meter.result() for meter in self.meters} | {
            # A float, as Keras takes its mean; one of 64 bits counts all iterations exactly.
            "iteration": tf.cast(iteration, tf.float64)
        }

    def test_step(self, numbered: tuple[tf.Tensor, EpisodeLike]) -> dict[str, tf.Tensor]:
        """Measure numbered tasks before adaptation and after `num_updates` steps."""
        values = self.measure_step(numbered)
        for meter in self.meters:
            meter.update_state(values[meter.name])
        return {meter.name: meter.result() for meter in self.meters}

    def measure_step(self, numbered: tuple[tf.Tensor, EpisodeLike]) -> dict[str, tf.Tensor]:
        """Every numbered task's measures before adaptation and after `num_updates` steps.

        Returns:
            [tasks] for every name of `metrics`; of several replicas each has those of its share.
        """

        def measure(part: tuple[EpisodeLike, MaskNoise]) -> list[tf.Tensor]:
            episode, noise = part
            support, query, path = self.adapted(episode, self.num_updates, noise)
            support_size = tf.shape(support.targets)[0]
            outputs = self.network.forward(query.inputs, path[-1].fast_weights)
            before = self.measures(path[1].support_outputs, support, support_size)
            after = self.measures(outputs, query, support_size)
            return [value for pair in zip(before, after, strict=True) for value in pair]

        values = self._map_held_out(measure, numbered, self.num_updates, [[]] * len(self.meters))
        return {meter.name: value for meter, value in zip(self.meters, values, strict=True)}

    def predict_step(self, numbered: tuple[tf.Tensor, EpisodeLike]) -> dict[str, tf.Tensor]:
        """Measure every task's queries after 0, 1, ..., `evaluation_updates` inner steps.

        Args:
            numbered: (numbers, episode): int32 [tasks] and the tasks of these numbers, which key
                the draw of every task's masks.

        Returns:
            {"loss": [tasks, steps + 1]} and, in classification, of the same shape "accuracy" and,
            where queries influence each other, "accuracy_alone", with each query asked alone.
        """
        steps = self.evaluation_updates
        names = ["loss", "accuracy"] if self.task_loss.classifies else ["loss"]
        ask_alone = self.task_loss.classifies and self.network.queries_influence_each_other
        if ask_alone:
            names.append("accuracy_alone")

        def measure(part: tuple[EpisodeLike, MaskNoise]) -> list[tf.Tensor]:
            episode, noise = part
            support, query, path = self.adapted(episode, steps, noise)
            support_size = tf.shape(support.targets)[0]
            measures = [
                self.measures(
                    self.network.forward(query.inputs, point.fast_weights), query, support_size
                )
                for point in path
            ]
            if ask_alone:
                alone = self.network.prepare_each(episode.query_x)
                for values, point in zip(measures, path, strict=True):
                    outputs = self.network.forward(alone, point.fast_weights)
                    values.append(self.task_loss.accuracy(outputs, query.targets))
            return [tf.stack(values, axis=1) for values in zip(*measures, strict=True)]

        values = self._map_held_out(measure, numbered, steps, [[steps + 1]] * len(names))
        return dict(zip(names, values, strict=True))

    def _map_held_out(
        self,
        measure: Callable[[tuple[EpisodeLike, MaskNoise]], list[tf.Tensor]],
        numbered: tuple[tf.Tensor, EpisodeLike],
        steps: int,
        shapes: Sequence[Sequence[int]],
    ) -> list[tf.Tensor]:
        """Measure held-out tasks part by part.

        Args:
            measure: of a part's (episode, mask noise): tensors [part, *shape].
            numbered: (numbers, episode).
            steps: inner steps that it takes.
            shapes: of what it returns, without the task axis.

        Returns:
            [tasks, *shape] for every shape; of several replicas each has those of its share.
        """
        numbers, episode = own_share(checked_held_out(numbered, self.network, self.task_loss))
        noise: MaskNoise = []
        if self.evaluation_mask == "sample":
            noise = self.mask_noise(tf.shape(numbers)[0], steps, evaluation_mask_seeds(numbers))
        part = self.network.part_of(episode.support_x.shape[0], episode.support_x)
        values = map_parts(
            measure,
            (episode, noise),
            part,
            outputs=[tf.TensorSpec([part, *shape], self.network.dtype) for shape in shapes],
        )
        return [
            tf.reshape(value, [-1, *shape]) for value, shape in zip(values, shapes, strict=True)
        ]

    def learn(
        self, support_x: tf.Tensor, support_y: tf.Tensor, num_updates: int
    ) -> list[tf.Tensor]:
        """Learn tasks' support examples, with M at its mode.

        Args:
            support_x: [tasks, support, ...].
            support_y: [tasks, support, outputs], regression targets or one-hot labels.
            num_updates: number of inner steps.

        Returns:
            what `answer` needs of them.

        Raises:
            ValueError: a part of another shape, or num_updates < 0.
        """
        support_x, support_y = checked_examples(
            "support", support_x, support_y, self.network, self.task_loss
        )
        num_updates = whole_number("num_updates", num_updates, least=0)
        *_, last = adaptation_path(
            self.network,
            self.task_loss.values,
            examples(self.network, support_x, support_y),
            tasks=sizes(support_x)[0],
            step_sizes=self.step_sizes,
            masks=self.masks(num_updates, noise=[]),
        )
        return self.network.learned(support_x, last.fast_weights)

    def check_parts(
        self, support_x: Any, support_y: Any, query_x: Any
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """What `adapt_and_predict` takes, as tensors of the network's number type.

        Raises:
            ValueError: a part of another shape, or of other tasks than another.
        """
        support_x, support_y = checked_examples(
            "support", support_x, support_y, self.network, self.task_loss
        )
        query_x = checked_inputs("query_x", query_x, self.network)
        check_same_tasks(support_x, query_x)
        return support_x, support_y, query_x

    def answer(self, query_x: tf.Tensor, learned: Sequence[tf.Tensor]) -> tf.Tensor:
        """Answer the queries of tasks that `learn` has learned.

        Args:
            query_x: [tasks, queries, ...].
            learned: of `learn`.

        Returns:
            [tasks, queries, outputs]: regression values or class probabilities.
        """
        outputs = tf.transpose(self.network.answer(query_x, learned), [1, 0, 2])
        return tf.nn.softmax(outputs) if self.task_loss.classifies else outputs

    def adapt_and_predict(
        self, support_x: tf.Tensor, support_y: tf.Tensor, query_x: tf.Tensor, num_updates: int
    ) -> tf.Tensor:
        """Learn every task's support examples and answer its queries: `learn`, then `answer`.

        Args:
            support_x: [tasks, support, ...].
            support_y: [tasks, support, outputs], regression targets or one-hot labels.
            query_x: [tasks, queries, ...].
            num_updates: number of inner steps.

        Returns:
            [tasks, queries, outputs]: regression values or class probabilities.

        Raises:
            ValueError: see `learn`.
        """
        support_x, support_y, query_x = self.check_parts(support_x, support_y, query_x)

        @tf.autograph.experimental.do_not_convert  # it is slow and finds nothing to do
        def one_task(data: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
            support_x, support_y, query_x = (tf.expand_dims(x, 0) for x in data)
            return self.answer(query_x, self.learn(support_x, support_y, num_updates))[0]

        # Task by task, as a graph for any number of tasks must run on any machine: grouped
        # convolutions do not.
        return tf.map_fn(
            one_task, (support_x, support_y, query_x), fn_output_signature=self.network.dtype
        )
