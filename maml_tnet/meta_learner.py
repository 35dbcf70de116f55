"""The meta-learner: a Keras model whose train step is the meta-update of Algorithm 2."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import tensorflow as tf
from tensorflow import keras

from maml_tnet.adaptation import Examples, InnerStep, adaptation_path, examples
from maml_tnet.compat import tf_variable
from maml_tnet.losses import Loss, accuracy, cross_entropy, squared_error
from maml_tnet.masks import most_likely_masks, sample_masks
from maml_tnet.networks import TaskNetwork

MASK_CHOICES = ("sample", "mode")
# Offsets of the first word of a mask seed, so that no two uses share a random stream.
EVALUATION_MASK_STREAM = 1_000_003
STEP_STREAM = 10_000_019


def evaluation_mask_seeds(numbers: tf.Tensor) -> tf.Tensor:
    """Keys of the masks of held-out tasks, by their numbers [tasks]: int32 [tasks, 2]."""
    numbers = tf.cast(numbers, tf.int32)
    return tf.stack([tf.fill(tf.shape(numbers), EVALUATION_MASK_STREAM), numbers], axis=-1)


class EpisodeLike(Protocol):
    """A batch of tasks: inputs [tasks, examples, ...], targets [tasks, examples, outputs]."""

    support_x: tf.Tensor
    support_y: tf.Tensor
    query_x: tf.Tensor
    query_y: tf.Tensor


class MetaLearner(keras.Model):
    """MAML, Meta-SGD, T-net or MT-net, depending on the network's T and masks and on `meta_sgd`.

    `fit` it on a dataset of spans (start, stop) of iteration numbers: one Keras batch runs the
    meta-iterations start, ..., stop - 1 inside the compiled function, drawing their episodes there.
    What an iteration does is a pure function of the parameters, the seed and its number, so a run
    that is stopped after any of them and goes on later ends with the same weights.

    `evaluate` and `predict` take datasets of (numbers, episode): `predict` returns every task's
    loss (and accuracy) on its queries after 0, 1, ..., `evaluation_updates` inner steps.

    Args:
        network: the task network.
        classification: cross-entropy and accuracy, or squared error.
        sample_episode: iteration number (scalar int32 tensor) -> training episode.
        update_lr: alpha, in the unit that `losses` describes; Meta-SGD's initial step sizes.
        num_updates: inner steps in training.
        evaluation_updates: inner steps that `predict` reports.
        first_order: do not differentiate through the inner gradients.
        recompute: less memory in training with many inner steps, for more time.
        meta_sgd: learn a step size for every adapted weight.
        temperature: of the masks, T of equation (11).
        evaluation_mask: "sample" or "mode": how M is had in evaluation.
        meta_grad_clip: bound on every component of the meta-gradient; 0 for none.
        pretrain_iterations: number of first iterations that minimize the loss before adaptation
            instead (the pretraining and oracle baselines).
        seed: of the masks.

    Raises:
        ValueError: num_updates < 1, or an unknown `evaluation_mask`.
    """

    def __init__(
        self,
        network: TaskNetwork,
        *,
        classification: bool,
        sample_episode: Callable[[tf.Tensor], EpisodeLike],
        update_lr: float,
        num_updates: int,
        evaluation_updates: int = 10,
        first_order: bool = False,
        recompute: bool = False,
        meta_sgd: bool = False,
        temperature: float = 1.0,
        evaluation_mask: str = "sample",
        meta_grad_clip: float = 0.0,
        pretrain_iterations: int = 0,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if num_updates < 1:
            raise ValueError(f"num_updates must be at least 1, got {num_updates}")
        if evaluation_mask not in MASK_CHOICES:
            raise ValueError(
                f"evaluation_mask must be one of {MASK_CHOICES}, got {evaluation_mask!r}"
            )
        self.network = network
        self.classification = classification
        self.task_loss: Loss = cross_entropy if classification else squared_error
        self.sample_episode = sample_episode
        self.update_lr = update_lr
        self.num_updates = num_updates
        self.evaluation_updates = evaluation_updates
        self.first_order = first_order
        self.recompute = recompute
        self.temperature = temperature
        self.evaluation_mask = evaluation_mask
        self.meta_grad_clip = meta_grad_clip
        self.pretrain_iterations = pretrain_iterations
        self.seed = seed
        self.step_size_variables = []
        if meta_sgd:
            self.step_size_variables = [
                self.add_weight(
                    name=f"step_size{i}",
                    shape=weight.shape,
                    initializer=keras.initializers.Constant(update_lr),
                )
                for i, weight in enumerate(network.adapted_weights)
            ]
        measures = ["pre_loss", "loss"] + (["pre_accuracy", "accuracy"] if classification else [])
        self.meters = [keras.metrics.Mean(name=name) for name in measures]
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Means over an epoch: loss (and accuracy) before adaptation, on the support examples,
        and after it, on the queries."""
        return self.meters

    @property
    def step_sizes(self) -> list[tf.Tensor | float]:
        """Alpha for every adapted weight: a number, or Meta-SGD's tensors [..., 1, units]."""
        if self.step_size_variables:
            return [tf.expand_dims(alpha, -2) for alpha in self.step_size_variables]
        return [self.update_lr] * len(self.network.adapted_weights)

    def masks(
        self, tasks: int | tf.Tensor, steps: int, seed: tf.Tensor, choice: str = "sample"
    ) -> list[list[tf.Tensor]] | None:
        """M for every inner step and adapted weight; None for a network without masks.

        Masks per unit are drawn once for all steps of a task; masks per weight at every step, as
        in the original code.
        """
        logits = self.network.mask_logits
        if not logits:
            return None
        expand = self.network.masks_of_adapted_weights
        if choice == "mode":
            return [expand(most_likely_masks(logits))] * steps
        if self.network.transform_layers[0].mask_per == "unit":
            return [expand(sample_masks(logits, tasks, self.temperature, seed))] * steps
        step_seeds = [seed + tf.constant([step * STEP_STREAM, 0]) for step in range(steps)]
        return [
            expand(sample_masks(logits, tasks, self.temperature, step_seed))
            for step_seed in step_seeds
        ]

    def adapted(
        self, episode: EpisodeLike, steps: int, mask_seed: tf.Tensor, mask: str = "sample"
    ) -> tuple[Examples, Examples, list[InnerStep]]:
        """Adapt to an episode: its prepared support and query examples, and the path of weights."""
        tasks = episode.support_x.shape[0] or tf.shape(episode.support_x)[0]
        support = examples(self.network, episode.support_x, episode.support_y)
        query = examples(self.network, episode.query_x, episode.query_y)
        path = adaptation_path(
            self.network,
            self.task_loss,
            support,
            tasks=tasks,
            step_sizes=self.step_sizes,
            masks=self.masks(tasks, steps, mask_seed, mask),
            num_updates=steps,
            first_order=self.first_order,
            recompute=self.recompute,
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
        """
        with tf.GradientTape() as tape:
            support, query, path = self.adapted(episode, self.num_updates, mask_seed)
            outputs = self.network.forward(query.inputs, path[-1].weights)
            support_size = tf.shape(support.targets)[0]
            loss = tf.reduce_mean(self.task_loss(outputs, query.targets, support_size))
        gradients = self._gradients(tape, loss)
        before = path[1].support_outputs
        measures = [
            tf.reduce_mean(self.task_loss(before, support.targets, support_size)),
            loss,
        ]
        if self.classification:
            measures.append(tf.reduce_mean(accuracy(before, support.targets)))
            measures.append(tf.reduce_mean(accuracy(outputs, query.targets)))
        return gradients, measures

    def pretraining_gradient(self, episode: EpisodeLike) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Like `meta_gradient`, of the loss on the support examples before any adaptation."""
        with tf.GradientTape() as tape:
            support, _, path = self.adapted(episode, 0, tf.zeros([2], tf.int32))
            outputs = self.network.forward(support.inputs, path[0].weights)
            support_size = tf.shape(support.targets)[0]
            loss = tf.reduce_mean(self.task_loss(outputs, support.targets, support_size))
        gradients = self._gradients(tape, loss)
        measures = [loss, loss]
        if self.classification:
            measures += [tf.reduce_mean(accuracy(outputs, support.targets))] * 2
        return gradients, measures

    def _gradients(self, tape: tf.GradientTape, loss: tf.Tensor) -> list[tf.Tensor]:
        """Of the loss with respect to `trainable_variables`, zeros where it does not depend."""
        # Of Keras 3's own variables TensorFlow cannot make the zeros.
        variables = [tf_variable(variable) for variable in self.trainable_variables]
        return tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    def meta_step(self, iteration: tf.Tensor) -> list[tf.Tensor]:
        """One meta-iteration: draw episode and masks, differentiate, let the optimizer step.

        Args:
            iteration: its number, a scalar int32.

        Returns:
            the measures, scalars.
        """
        episode = self.sample_episode(iteration)
        mask_seed = tf.stack([self.seed, iteration])
        if self.pretrain_iterations:
            gradients, measures = tf.cond(
                iteration < self.pretrain_iterations,
                lambda: self.pretraining_gradient(episode),
                lambda: self.meta_gradient(episode, mask_seed),
            )
        else:
            gradients, measures = self.meta_gradient(episode, mask_seed)
        if self.meta_grad_clip:
            gradients = [
                tf.clip_by_value(g, -self.meta_grad_clip, self.meta_grad_clip) for g in gradients
            ]
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return measures

    def train_step(self, span: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Run the meta-iterations start, ..., stop - 1, or up to the first non-finite loss.

        Args:
            span: (start, stop), scalar int32.

        Returns:
            the means over the epoch so far, and "iteration": the number of iterations done, which
            is less than `stop` if the loss of that iteration (counted from 0) was not finite.
        """
        start, stop = span
        totals = [tf.zeros([], self.network.dtype) for _ in self.meters]

        def go_on(iteration: tf.Tensor, finite: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
            return (iteration < stop) & finite

        def run(iteration: tf.Tensor, _: tf.Tensor, *totals: tf.Tensor) -> Sequence[tf.Tensor]:
            measures = self.meta_step(iteration)
            finite = tf.math.is_finite(measures[1])
            done = iteration + tf.cast(finite, tf.int32)
            return done, finite, *(t + m for t, m in zip(totals, measures, strict=True))

        iteration, _, *totals = tf.while_loop(go_on, run, [start, True, *totals])
        count = tf.cast(stop - start, self.network.dtype)
        for meter, total in zip(self.meters, totals, strict=True):
            meter.update_state(tf.math.divide_no_nan(total, count), sample_weight=count)
        return {meter.name: meter.result() for meter in self.meters} | {
            "iteration": tf.cast(iteration, tf.float32)
        }

    def test_step(self, numbered: tuple[tf.Tensor, EpisodeLike]) -> dict[str, tf.Tensor]:
        """Measure numbered tasks before adaptation and after `num_updates` steps."""
        numbers, episode = numbered
        mask_seed = evaluation_mask_seeds(numbers)
        support, query, path = self.adapted(
            episode, self.num_updates, mask_seed, self.evaluation_mask
        )
        support_size = tf.shape(support.targets)[0]
        before = self.network.forward(support.inputs, path[0].weights)
        after = self.network.forward(query.inputs, path[-1].weights)
        values = [
            self.task_loss(before, support.targets, support_size),
            self.task_loss(after, query.targets, support_size),
        ]
        if self.classification:
            values += [accuracy(before, support.targets), accuracy(after, query.targets)]
        for meter, value in zip(self.meters, values, strict=True):
            meter.update_state(value)
        return {meter.name: meter.result() for meter in self.meters}

    def predict_step(self, numbered: tuple[tf.Tensor, EpisodeLike]) -> dict[str, tf.Tensor]:
        """Measure every task's queries after 0, 1, ..., `evaluation_updates` inner steps.

        Args:
            numbered: (numbers, episode): int32 [tasks] and the tasks of these numbers, which key
                the draw of every task's masks.

        Returns:
            {"loss": [tasks, steps + 1]} and, in classification, "accuracy" of the same shape.
        """
        numbers, episode = numbered
        mask_seed = evaluation_mask_seeds(numbers)
        support, query, path = self.adapted(
            episode, self.evaluation_updates, mask_seed, self.evaluation_mask
        )
        support_size = tf.shape(support.targets)[0]
        outputs = [self.network.forward(query.inputs, point.weights) for point in path]
        losses = [self.task_loss(output, query.targets, support_size) for output in outputs]
        result = {"loss": tf.stack(losses, axis=1)}
        if self.classification:
            accuracies = [accuracy(output, query.targets) for output in outputs]
            result["accuracy"] = tf.stack(accuracies, axis=1)
        return result

    def adapt_and_predict(
        self, support_x: tf.Tensor, support_y: tf.Tensor, query_x: tf.Tensor, num_updates: int
    ) -> tf.Tensor:
        """Learn every task's support examples and answer its queries, with M at its mode.

        Args:
            support_x: [tasks, support, ...].
            support_y: [tasks, support, outputs], regression targets or one-hot labels.
            query_x: [tasks, queries, ...].
            num_updates: number of inner steps.

        Returns:
            [tasks, queries, outputs]: regression values or class probabilities.
        """

        def one_task(data: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
            support_x, support_y, query_x = (tf.expand_dims(x, 0) for x in data)
            *_, last = adaptation_path(
                self.network,
                self.task_loss,
                examples(self.network, support_x, support_y),
                tasks=1,
                step_sizes=self.step_sizes,
                masks=self.masks(1, num_updates, tf.zeros([2], tf.int32), "mode"),
                num_updates=num_updates,
            )
            outputs = self.network.forward(self.network.prepare(query_x), last.weights)
            return tf.squeeze(outputs, 1)

        # Task by task, as a graph for any number of tasks must run on any machine: grouped
        # convolutions do not.
        outputs = tf.map_fn(
            one_task, (support_x, support_y, query_x), fn_output_signature=self.network.dtype
        )
        return tf.nn.softmax(outputs) if self.classification else outputs
