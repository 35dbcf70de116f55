"""The meta-learner of any Keras model."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from maml_tnet.adaptation import Examples
from maml_tnet.any_model.adapting_weights import AdaptingWeights, Values
from maml_tnet.any_model.callback_counts import CallbackCounts
from maml_tnet.any_model.copying import exact_copy, plain_copy
from maml_tnet.any_model.episode import (
    ModelEpisode,
    check_examples,
    keras_mask,
    model_episode,
    numbers,
    real_examples,
    tensors,
    with_mask,
    with_padding,
)
from maml_tnet.any_model.exact_normalization import check_lengths
from maml_tnet.any_model.functional_model import FunctionalModel
from maml_tnet.any_model.given_episodes import GivenEpisodes
from maml_tnet.any_model.loss import ModelLoss, model_loss
from maml_tnet.any_model.one_task import NORMALIZE_BY, OneTask
from maml_tnet.any_model.second_derivatives import Outputs, checked_outputs
from maml_tnet.any_model.training_argument import (
    keep_moving_averages,
    warn_of_overridden_arguments,
    warn_of_own_training,
)
from maml_tnet.any_model.unit_groups import Adapts
from maml_tnet.arguments import (
    LEAST_INT32,
    check_dataset,
    check_nothing_beside,
    check_training_data,
    finite_number,
    true_or_false,
    whole_number,
)
from maml_tnet.compat import as_scaled, require_keras_3, tf_variable
from maml_tnet.given_data import Learner, in_words
from maml_tnet.going_on import going_on, rest_of_episodes
from maml_tnet.loss_gradients import refuse_not_finite, warn_of_unlearned, with_zeros
from maml_tnet.second_derivatives import missing_derivatives

# Offset of the first word of a seed, so that dropout and masks share no random stream.
RANDOM_LAYER_STREAM = 2_000_003
NO_KERAS_EXPORT = (
    "maml_tnet.export writes a SavedModel that adapts and predicts; adapt gives a Keras model "
    "that has learned one task, which has an export of its own"
)
# What arguments are called here that the paper's networks have.
OTHER_NAMES = {"use_transform": "transform=True", "mask_per": 'mask="unit" or mask="weight"'}


@keras.utils.register_keras_serializable("maml_tnet")
class ModelLearner(Learner):
    """MAML, ANIL, BOIL, Meta-SGD, T-nets and MT-nets of any Keras model.

    `MetaLearner(model, ...)` makes one. `compile` it with an optimizer, any Keras loss and metrics,
    and `fit` it on a dataset of episodes (`ModelEpisode`). One batch is one meta-iteration, and one
    step of the optimizer. Its number and `seed` decide masks and dropout.

    `evaluate` measures the queries after adaptation and `predict` answers them, both as the model
    that `adapt` gives does: masks at their mode, no dropout. Called on an episode, it answers, too.

    Args:
        network: a Keras model with weights; it is copied (`copying.exact_copy`), unless it is a
            subclassed one, and is not changed.
        update_lr: alpha, in the unit of the loss as it is reduced; Meta-SGD's initial step sizes.
        num_updates: inner steps.
        transform: a T for every layer that adapts and can have one (T-net); starts as the identity.
        mask: None; "unit", one mask logit for each unit of a layer; or "weight", for each weight
            (MT-net).
        adapt: which layers adapt: "all" (MAML), "head" (ANIL), "body" (BOIL), or a function of one
            of `network.layers`.
        normalize_by: what batch normalization takes for queries: the statistics of the task's
            "support" set, so that a query's answer does not depend on the others; or those of the
            "batch" of queries, as in the paper.
        first_order: do not differentiate through the inner gradients.
        meta_sgd: learn a step size for every weight that adapts.
        temperature: of the masks, T of equation (11).
        logit_init: initial mask logits.
        meta_grad_clip: bound on every component of the meta-gradient; 0 for none.
        seed: of masks and random layers.

    Attributes:
        network: the copy; its weights are what every task starts from, without T.

    Raises:
        RuntimeError: this is Keras 2.
        ValueError: an unknown word, a number out of range, a choice that is neither True nor False,
            a model that cannot be meta-learned, or the scope of a `tf.distribute` strategy.
    """

    def __init__(
        self,
        network: keras.Model,
        *,
        update_lr: float,
        num_updates: int = 1,
        transform: bool = False,
        mask: str | None = None,
        adapt: Adapts = "all",
        normalize_by: str = "support",
        first_order: bool = False,
        meta_sgd: bool = False,
        temperature: float = 1.0,
        logit_init: float = 0.0,
        meta_grad_clip: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ):
        require_keras_3()
        if tf.distribute.has_strategy():
            raise ValueError(
                "a MetaLearner of any Keras model is made outside of the scope of a tf.distribute "
                "strategy, for one device: maml_tnet.ConvNet and Regressor are for several"
            )
        if not isinstance(network, keras.Model):
            raise ValueError(f"network must be a Keras model, got {network!r:.60}")
        for name, own in OTHER_NAMES.items():
            if name in kwargs:
                raise ValueError(f"for a Keras model say {own}, {name} is of the paper's networks")
        if kwargs.get("dtype") is not None:
            raise ValueError(
                f"a learner computes in the number types of the model's layers, got dtype="
                f"{kwargs['dtype']!r:.60}: make the model with them"
            )
        super().__init__(autocast=False, **kwargs)
        update_lr = finite_number("update_lr", update_lr, least=0)
        num_updates = whole_number("num_updates", num_updates, least=1)
        temperature = finite_number("temperature", temperature, above=0)
        logit_init = finite_number("logit_init", logit_init)
        meta_grad_clip = finite_number("meta_grad_clip", meta_grad_clip, least=0)
        transform = true_or_false("transform", transform)
        first_order = true_or_false("first_order", first_order)
        meta_sgd = true_or_false("meta_sgd", meta_sgd)
        seed = whole_number("seed", seed, least=LEAST_INT32)
        if normalize_by not in NORMALIZE_BY:
            raise ValueError(f"normalize_by must be one of {NORMALIZE_BY}, got {normalize_by!r}")
        self.options = {
            "update_lr": update_lr,
            "num_updates": num_updates,
            "transform": transform,
            "mask": mask,
            "adapt": adapt,
            "normalize_by": normalize_by,
            "first_order": first_order,
            "meta_sgd": meta_sgd,
            "temperature": temperature,
            "logit_init": logit_init,
            "meta_grad_clip": meta_grad_clip,
            "seed": seed,
        }
        self.num_updates = num_updates
        self.normalize_by = normalize_by
        self.first_order = first_order
        self.meta_grad_clip = meta_grad_clip
        self.seed = seed
        self.task_loss: ModelLoss | None = None
        self._outputs_specs: dict[str, Outputs] = {}
        warn_of_own_training(network)
        self.network = exact_copy(network)
        warn_of_overridden_arguments(self.network)
        keep_moving_averages(self.network, normalize_by)
        if normalize_by == "support":
            check_lengths(self.network)
        # By these Keras takes metrics, and names them, of a model of several outputs.
        self.output_names = getattr(self.network, "output_names", None)
        self.function = FunctionalModel(self.network)
        self.adapting = AdaptingWeights(
            self.network,
            adapt=adapt,
            update_lr=update_lr,
            meta_sgd=meta_sgd,
            transform=transform,
            mask=mask,
            logit_init=logit_init,
            temperature=temperature,
        )
        self._learned = tf.function(self._learn, autograph=False)
        self.built = True

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        loss_weights: Any = None,
        *,
        jit_compile: bool = False,
        **kwargs: Any,
    ) -> None:
        """Keras' `compile`. The loss is a task's, and alpha is in its unit.

        Args:
            optimizer: of the meta-update.
            loss: a Keras loss, as in Keras for several outputs, or one of `maml_tnet.losses`.
            loss_weights: a number, or of several outputs one for each.
            jit_compile: tasks that run at the same time are faster than XLA on a CPU.
            **kwargs: metrics and the like.

        Raises:
            ValueError: no optimizer, one that accumulates gradients, or a loss that
                `any_model.loss.model_loss` refuses.
        """
        if optimizer is None:
            raise ValueError("compile with an optimizer, got None")
        optimizer = keras.optimizers.get(optimizer)
        for own in (optimizer, getattr(optimizer, "inner_optimizer", None)):
            if getattr(own, "gradient_accumulation_steps", None):
                raise ValueError(
                    "an optimizer with gradient_accumulation_steps counts other steps than "
                    "meta-iterations, by which masks are drawn: put more tasks into an episode"
                )
        self.task_loss = model_loss(
            loss,
            loss_weights,
            output_names=getattr(self.network, "output_names", None) or (),
            dtype=self.adapting.dtype,
            first_order=self.first_order,
        )
        super().compile(
            optimizer=optimizer,
            loss=loss,
            loss_weights=loss_weights,
            jit_compile=jit_compile,
            **kwargs,
        )
        # Now, so that what is restored before the first step finds its place.
        self.optimizer.build(self.trainable_variables)
        self._learned = tf.function(self._learn, autograph=False)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as a saved learner was."""
        self.compile(**keras.utils.deserialize_keras_object(config))

    def one_task(self, values: Values, seeds: tf.Tensor, *, training: bool) -> OneTask:
        """A task of this learner.

        Raises:
            ValueError: the learner is not compiled.
        """
        if self.task_loss is None:
            raise ValueError("compile the learner first: its loss is what a task descends")
        return OneTask(
            self.function,
            self.adapting,
            self.task_loss,
            values,
            seeds,
            training=training,
            normalize_by=self.normalize_by,
        )

    def query_loss(
        self,
        values: Values,
        episode: ModelEpisode,
        noise: list[list[tf.Tensor]],
        seeds: tf.Tensor,
        *,
        training: bool,
        steps: int | None = None,
    ) -> tuple[tf.Tensor, Any]:
        """Learn one task's support set and answer its queries.

        Args:
            values: of the learner's variables.
            episode: of one task, [examples, ...].
            noise: of its masks.
            seeds: of its random layers.
            training: whether random layers are random.
            steps: inner steps to take; by default as many as in training.

        Returns:
            its query loss, the summand of line 11 of Algorithm 2 (0 without targets), and its
            outputs [queries, ...].
        """
        support = _examples(episode.support_x, episode.support_y, episode.support_weight)
        query = _examples(episode.query_x, episode.query_y, episode.query_weight)
        task = self.one_task(values, seeds, training=training)
        steps = self.num_updates if steps is None else steps
        fast_weights = task.learn(support, noise, steps=steps, first_order=self.first_order)
        answers = task.answer(support.inputs, query.inputs, fast_weights)
        loss = tf.zeros([], self.adapting.dtype)
        if episode.query_y is not None:
            loss = task.loss_of(answers, query.targets, _count(support.inputs))
        if episode.query_weight is None:
            return loss, answers.outputs
        return loss, with_padding(answers.outputs, episode.query_weight)

    # A meta-batch: as many tasks at once as there are cores.

    def values(self) -> tuple[list[tf.Tensor], Values]:
        """Read every trainable variable once: as a list, and by the variables' ids.

        Raises:
            ValueError: a weight that adapts was frozen meanwhile.
        """
        values = [tf.convert_to_tensor(tf_variable(v)) for v in self.trainable_variables]
        by_id = {id(v): t for v, t in zip(self.trainable_variables, values, strict=True)}
        for weight in self.adapting.weights_of_groups:
            if id(weight.variable) not in by_id:
                raise ValueError(
                    f"{weight.variable.path} adapts, but does not train any more: freeze a layer "
                    "before MetaLearner(...) is made"
                )
        return values, by_id

    def draws(self, tasks: int | tf.Tensor, step: tf.Tensor) -> tuple[list, tf.Tensor]:
        """What is random in a meta-iteration, a pure function of `seed` and its number.

        Args:
            tasks: number of tasks.
            step: number of the iteration.

        Returns:
            noise of the masks, tensors [tasks, ...], and seeds of the random layers,
            [tasks, random layers, 2].
        """
        key = tf.stack([self.seed, tf.cast(step, tf.int32)])
        seeds = tf.random.stateless_uniform(
            [tasks, len(self.function.seeds), 2],
            key + tf.constant([RANDOM_LAYER_STREAM, 0]),
            maxval=tf.int32.max,
            dtype=tf.int32,
        )
        return self.adapting.noise(tasks, key, self.num_updates), seeds

    def meta_gradient(
        self, episode: ModelEpisode, step: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor, Any]:
        """The gradient of line 11 of Algorithm 2, through the inner steps.

        Args:
            episode: the meta-batch.
            step: number of the meta-iteration.

        Returns:
            gradients of the mean query loss with respect to `trainable_variables`, the losses
            [tasks], and the outputs [tasks, queries, ...].
        """
        values, by_id = self.values()

        def one_task(task: tuple) -> tuple[list[tf.Tensor], tf.Tensor, Any]:
            with missing_derivatives():
                with tf.GradientTape() as tape:
                    tape.watch(values)
                    loss, outputs = self.query_loss(by_id, *task, training=True)
                gradients = tape.gradient(loss, values)
            learned = with_zeros(gradients, self.trainable_variables)
            warn_of_unlearned(gradients, self.trainable_variables)
            return [tf.convert_to_tensor(g) for g in learned], loss, outputs

        gradients, losses, outputs = self._map_tasks(
            one_task,
            episode,
            *self.draws(_count(episode.support_x), step),
            extra=[tf.TensorSpec(v.shape, v.dtype) for v in values],
        )
        return [tf.reduce_mean(g, axis=0) for g in gradients], losses, outputs

    def answers(self, episode: ModelEpisode, steps: int | None = None) -> tuple[tf.Tensor, Any]:
        """Learn without chance and answer: losses [tasks] and outputs [tasks, queries, ...]."""
        _, by_id = self.values()
        tasks = _count(episode.support_x)
        seeds = tf.zeros([tasks, len(self.function.seeds), 2], tf.int32)
        return self._map_tasks(
            lambda task: self.query_loss(by_id, *task, training=False, steps=steps),
            episode,
            [],
            seeds,
        )

    def _map_tasks(
        self,
        function: Callable[[tuple], Any],
        episode: ModelEpisode,
        noise: list,
        seeds: tf.Tensor,
        extra: list | None = None,
    ) -> Any:
        """Apply a function to (episode, noise, seeds) of every task."""
        specs, masks = self._outputs_spec(episode.query_x)
        signature: tuple = (
            tf.TensorSpec([], self.adapting.dtype),
            tf.nest.map_structure(lambda spec: tf.TensorSpec(None, spec.dtype), specs),
        )
        signature = signature if extra is None else (extra, *signature)
        # None is no tensor that a map could cut.
        present = {name: part for name, part in episode._asdict().items() if part is not None}

        def one_task(task: tuple) -> Any:
            parts, noise, seeds = task
            result = function((ModelEpisode(**{"query_y": None, **parts}), noise, seeds))
            found = map(keras_mask, tf.nest.flatten(result[-1]))
            return result, [mask for mask in found if mask is not None]

        result, found = tf.map_fn(
            one_task,
            (present, noise, seeds),
            fn_output_signature=(
                signature,
                [tf.TensorSpec(None, mask.dtype) for mask in masks if mask is not None],
            ),
            parallel_iterations=os.cpu_count() or 1,
        )
        outputs = tf.nest.flatten(result[-1])
        for output, spec in zip(outputs, tf.nest.flatten(specs), strict=True):
            output.set_shape([None, None, *spec.shape[1:]])
        masked = [output for output, mask in zip(outputs, masks, strict=True) if mask is not None]
        for output, mask in zip(masked, found, strict=True):  # which a map does not keep
            output._keras_mask = mask
        return result

    def _outputs_spec(self, query_x: Any) -> Outputs:
        """The model's outputs for inputs [tasks, examples, ...]."""
        inputs = tf.nest.map_structure(
            lambda x: tf.TensorSpec([None, *x.shape[2:]], x.dtype), query_x
        )
        key = str(inputs)
        if key not in self._outputs_specs:  # which are had by tracing
            self._outputs_specs[key] = checked_outputs(
                self.network, inputs, first_order=self.first_order
            )
        return self._outputs_specs[key]

    def _episode(self, data: Any, *, answered: bool = False) -> ModelEpisode:
        """What a dataset yields, checked."""
        # Arrays as they are come from `train_on_batch` of a learner that runs eagerly.
        return tf.nest.map_structure(
            lambda x: tf.convert_to_tensor(x) if isinstance(x, np.ndarray) else x,
            self._checked(data, answered=answered),
        )

    def _checked(self, data: Any, *, answered: bool = False) -> ModelEpisode:
        """The same of the types that it has."""
        episode = model_episode(data, answered=answered)
        for name, x in (("support_x", episode.support_x), ("query_x", episode.query_x)):
            self._check_inputs(name, x, "[tasks, examples, ...]", axes=2)
        return episode

    def _check_inputs(self, name: str, x: Any, what: str, *, axes: int) -> None:
        """Check the shape of a model's only input: Keras would take a task's for a batch's."""
        inputs = getattr(self.network, "inputs", None) or []
        if inputs and isinstance(x, list | tuple) and len(tf.nest.flatten(x)) != len(inputs):
            raise ValueError(
                f"{name} must have an array for every input of the model, {len(inputs)}, got "
                f"{len(tf.nest.flatten(x))}: examples are stacked into one array, and several "
                "episodes are given by a tf.data.Dataset, a generator or a keras.utils.PyDataset"
            )
        if len(inputs) != 1 or tf.nest.is_nested(x):
            return
        sizes = inputs[0].shape[1:]
        found = tf.TensorShape(x.shape)
        if found.rank is not None and not found[axes:].is_compatible_with(sizes):
            raise ValueError(
                f"{name} must be {what} of examples {tuple(sizes)}, got shape {tuple(found)}"
            )

    # What Keras calls.

    def call(self, inputs: Any) -> Any:
        """Learn and answer: an episode -> outputs [tasks, queries, ...]."""
        return self.answers(self._episode(inputs))[1]

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One meta-iteration: its gradient, clipped, and the optimizer's step."""
        episode = self._episode(data, answered=True)
        gradients, losses, outputs = self.meta_gradient(episode, self.optimizer.iterations)
        if self.meta_grad_clip:
            gradients = [
                tf.clip_by_value(g, -self.meta_grad_clip, self.meta_grad_clip) for g in gradients
            ]
        gradients = refuse_not_finite(gradients, losses, self.optimizer.iterations)
        # A dataset that ends must not count as a step: masks are drawn by the number of steps.
        with tf.control_dependencies(gradients):
            gradients = as_scaled(self.optimizer, gradients)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self._measured(episode, losses, outputs)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Measure the queries after adaptation."""
        episode = self._episode(data, answered=True)
        return self._measured(episode, *self.answers(episode))

    def predict_step(self, data: Any) -> Any:
        """Answer the queries: [tasks, queries, ...]."""
        return self.answers(self._episode(data))[1]

    def _measured(self, episode: ModelEpisode, losses: tf.Tensor, outputs: Any) -> dict[str, Any]:
        """Update the loss, the mean over tasks, and the metrics, over all their queries."""
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(losses)
        together = [
            tf.nest.map_structure(lambda x: with_mask(_join_tasks, x), part)
            for part in (episode.query_y, outputs, episode.query_weight)
            if part is not None
        ]
        if episode.query_weight is not None:
            together = real_examples(together[-1], together)
        y, y_pred, *weight = together
        return self.compute_metrics(None, y, y_pred, weight[0] if weight else None)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        *args: Any,
        validation_data: Any = None,
        callbacks: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Keras' `fit` on episodes; see `given_episodes.GivenEpisodes`.

        With `keras.callbacks.BackupAndRestore`, a run that is started again goes on in its
        `tf.data.Dataset` where it stopped, and its callbacks with what they had counted.

        Raises:
            ValueError: no dataset, an empty one, or one without an end and no number of steps; or
                there are targets or weights beside it.
        """
        check_training_data(x, {**kwargs, "y": y, "validation_data": validation_data}, "fit")
        if isinstance(x, tf.data.Dataset):
            x, callbacks = going_on(self, x, callbacks, rest_of_episodes(x))
        given = [] if callbacks is None else tf.nest.flatten(callbacks)
        backups = [c for c in given if isinstance(c, keras.callbacks.BackupAndRestore)]
        others = [c for c in given if c not in backups]
        made_with = self.options | {"weights": [list(v.shape) for v in self.trainable_variables]}
        if callable(made_with["adapt"]):
            made_with["adapt"] = "a function"
        counts = [CallbackCounts(others, backup.backup_dir, made_with) for backup in backups]
        with GivenEpisodes(self._checked) as given:
            return super().fit(
                given(x),
                y,
                *args,
                validation_data=given(validation_data),
                callbacks=[*others, *counts, *backups],
                **kwargs,
            )

    def evaluate(
        self, x: Any = None, y: Any = None, *args: Any, steps: int | None = None, **kwargs: Any
    ) -> Any:
        """Keras' `evaluate` on episodes; see `fit`."""
        check_dataset(x, steps, "evaluate", "steps")
        check_nothing_beside({**kwargs, "y": y}, "evaluate")
        with GivenEpisodes(self._checked) as given:
            return super().evaluate(given(x), y, *args, steps=steps, **kwargs)

    def predict(self, x: Any, *args: Any, steps: int | None = None, **kwargs: Any) -> Any:
        """Keras' `predict` on episodes; see `fit`."""
        check_dataset(x, steps, "predict", "steps")
        with GivenEpisodes(self._checked) as given:
            return super().predict(given(x), *args, steps=steps, **kwargs)

    # A model that has learned a task.

    def adapt(
        self,
        support_x: Any,
        support_y: Any,
        *,
        support_weight: Any = None,
        num_updates: int | None = None,
    ) -> keras.Model:
        """Learn one task, and return a plain Keras model that has learned it.

        Its kernels are W T of the task and its batch normalizations have the moving averages of the
        support set, so it needs nothing of this package; only with `normalize_by="batch"` its batch
        normalizations are this package's, which take the batch that is predicted, and a spectral
        normalization is this package's always.

        Args:
            support_x: inputs of the task, [support, ...].
            support_y: their targets.
            support_weight: sample weights, or None.
            num_updates: inner steps to take; by default as many as in training.

        Raises:
            ValueError: the parts are not of the same examples, targets are classes that the model
                lacks, num_updates < 0, or what was learned is not finite.
        """
        if num_updates is not None:
            num_updates = whole_number("num_updates", num_updates, least=0)
        if support_x is None or support_y is None:
            raise ValueError("adapt takes support_x and support_y, got None")
        support_x, support_y = tensors(support_x), tensors(support_y)
        support_weight = numbers(tensors(support_weight))
        self._check_inputs("support_x", support_x, "[examples, ...]", axes=1)
        check_examples("support", support_x, support_y, support_weight, axes=1)
        try:
            values = self._learned(support_x, support_y, support_weight, num_updates)
        except tf.errors.InvalidArgumentError as error:
            refusal = in_words(error)
            raise refusal from refusal.__cause__
        learned = list(zip(self._learned_variables, values, strict=True))
        for variable, value in learned:
            if value.dtype.is_floating and not tf.reduce_all(tf.math.is_finite(value)):
                raise ValueError(
                    f"what was learned of the task is not finite, as {variable.path}: look for "
                    "such values in support_x, support_y and support_weight, or take fewer inner "
                    "steps or a smaller update_lr"
                )
        example = tf.nest.map_structure(lambda x: x[:1], support_x)
        model = plain_copy(self.network, example, keeps_batch_norms=self.normalize_by == "batch")
        places = dict(zip(map(id, self.network.variables), model.variables, strict=True))
        for variable, value in learned:
            places[id(variable)].assign(value)
        return model

    @property
    def _learned_variables(self) -> list[Any]:
        """In what a model that has learned a task differs from the model that all start from."""
        adapting = [weight.variable for weight in self.adapting.weights_of_groups]
        return adapting + self.function.statistics

    def _learn(self, x: Any, y: Any, weight: Any, num_updates: int | None) -> list[tf.Tensor]:
        """One task's values of these variables."""
        support = _examples(x, y, weight)
        _, values = self.values()
        seeds = tf.zeros([len(self.function.seeds), 2], tf.int32)
        task = self.one_task(values, seeds, training=False)
        steps = self.num_updates if num_updates is None else num_updates
        fast_weights = task.learn(support, [], steps=steps, first_order=self.first_order)
        task.forward(support.inputs, fast_weights)  # for the statistics
        pairs = self.adapting.transformed(values, fast_weights)
        return [w for _, w in pairs] + [task.state[id(v)] for v in self.function.statistics]

    def adapt_and_predict(
        self, support_x: tf.Tensor, support_y: tf.Tensor, query_x: tf.Tensor, num_updates: int
    ) -> tf.Tensor:
        """Learn every task's support examples and answer its queries; see `maml_tnet.export`."""
        num_updates = whole_number("num_updates", num_updates, least=0)
        return self.answers(self.check_parts(support_x, support_y, query_x), num_updates)[1]

    def check_parts(self, support_x: Any, support_y: Any, query_x: Any) -> ModelEpisode:
        """What `adapt_and_predict` takes.

        Raises:
            ValueError: a part of another shape, or of other tasks or examples than another.
        """
        return self._episode((support_x, support_y, query_x))

    # Saving.

    def save(self, filepath: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
        """Keras' `save`.

        Raises:
            ValueError: it is not to be a .keras file: what Keras writes of others it cannot read.
        """
        if not os.fspath(filepath).endswith(".keras"):
            raise ValueError(f"a learner is saved whole as NAME.keras, got {filepath!r}")
        super().save(filepath, *args, **kwargs)

    def export(self, *args: Any, **kwargs: Any) -> None:
        """Keras' `export`, whose SavedModel could not learn.

        Raises:
            NotImplementedError: always, saying what to use.
        """
        raise NotImplementedError(NO_KERAS_EXPORT)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        if callable(self.options["adapt"]):
            raise ValueError(
                "a learner whose adapt is a function cannot be saved whole: use save_weights and "
                "load_weights"
            )
        network = keras.utils.serialize_keras_object(self.network)
        return {"name": self.name, "network": network, **self.options}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "ModelLearner":
        """Make a learner of `get_config`."""
        network = keras.utils.deserialize_keras_object(config["network"], custom_objects)
        return cls(**{**config, "network": network})


def _examples(x: Any, y: Any, weight: Any) -> Examples:
    """One task's examples without padding: inputs and (targets, weights)."""
    if weight is not None:
        x, y, weight = real_examples(weight, (x, y, weight))
    return Examples(x, (y, weight))


def _count(parts: Any) -> int | tf.Tensor:
    """Size of the first axis."""
    first = tf.nest.flatten(parts)[0]
    return first.shape[0] or tf.shape(first)[0]


def _join_tasks(x: tf.Tensor) -> tf.Tensor:
    """[tasks, examples, ...] -> [tasks * examples, ...]."""
    return tf.reshape(x, tf.concat([[-1], tf.shape(x)[2:]], axis=0))
