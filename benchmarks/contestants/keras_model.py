"""The paper's network as a plain Keras model under `maml_tnet.MetaLearner`, as a user writes it."""

from collections.abc import Iterator

import tensorflow as tf
from tensorflow import keras

from benchmarks.contestants.data import episode_source
from benchmarks.exchange import Arrays, Batch
from benchmarks.workloads import Workload
from maml_tnet import MetaLearner, ModelLearner
from maml_tnet.any_model.episode import ModelEpisode
from maml_tnet.compat import tf_variable
from maml_tnet.losses import cross_entropy, squared_error

layers = keras.layers


def plain_model(workload: Workload, dtype: str) -> keras.Model:
    """The network of a workload, of Keras' own layers."""
    kind = {"dtype": dtype}
    if not workload.is_classification:
        hidden = [layers.Dense(workload.units, activation="relu", **kind) for _ in range(2)]
        return keras.Sequential([keras.Input([1], **kind), *hidden, layers.Dense(1, **kind)])
    parts = [keras.Input(workload.image_shape, **kind)]
    for _ in range(4):
        strides = 1 if workload.max_pool else 2
        parts += [
            layers.Conv2D(
                workload.units, 3, strides=strides, padding="same", use_bias=False, **kind
            ),
            layers.BatchNormalization(scale=False, **kind),
            layers.ReLU(**kind),
            *([layers.MaxPooling2D(**kind)] if workload.max_pool else []),
        ]
    features = layers.Flatten if workload.max_pool else layers.GlobalAveragePooling2D
    return keras.Sequential([*parts, features(**kind), layers.Dense(workload.way, **kind)])


class _GivenNoise(ModelLearner):
    """The learner with the mask noise handed to it instead of drawn."""

    noise: list[tf.Tensor]

    def draws(self, tasks: int | tf.Tensor, step: tf.Tensor) -> tuple[list, tf.Tensor]:
        _, seeds = super().draws(tasks, step)
        return ([self.noise] if self.adapting.mask_logits else []), seeds


class KerasModel:
    """See `contestants.Contestant`; one step of the compiled train function an iteration."""

    def __init__(self, workload: Workload, weights: Arrays, data_path: str | None):
        self.workload = workload
        self.weights = weights
        self.learner = self._build(MetaLearner)
        self.learner.make_train_function()
        source = episode_source(workload, data_path)
        numbers = tf.data.Dataset.counter(dtype=tf.int32)
        self.episodes = iter(numbers.map(lambda i: tuple(source(i))).prefetch(2))

    def _build(self, kind: type) -> ModelLearner:
        learner = kind(
            plain_model(self.workload, self.weights["layer0.kernel"].dtype.name),
            transform=self.workload.is_mtnet,
            mask="unit" if self.workload.is_mtnet else None,
            update_lr=self.workload.alpha,
            num_updates=self.workload.inner_steps,
            normalize_by="batch",
        )
        learner.compile(
            keras.optimizers.Adam(1e-3),
            loss=cross_entropy if self.workload.is_classification else squared_error,
        )
        named = dict(_named_variables(learner))
        if named.keys() != self.weights.keys():
            raise ValueError(f"parameters {sorted(named)}, weights {sorted(self.weights)}")
        for name, variable in named.items():
            variable.assign(self.weights[name])
        return learner

    def use_batches(self, batches: list[Batch]) -> None:
        """Nothing: episodes are drawn by a `tf.data.Dataset`."""

    def meta_gradient(self, batch: Batch) -> Arrays:
        """Compiled as in training."""
        learner = self._build(_GivenNoise)
        learner.noise = [tf.constant(noise) for noise in batch.noise]
        episode = (batch.support_x, batch.support_y, batch.query_x, batch.query_y)
        names = {id(tf_variable(v)): name for name, v in _named_variables(learner)}

        @tf.function
        def gradient(parts: tuple) -> list[tf.Tensor]:
            return learner.meta_gradient(ModelEpisode(*parts), tf.constant(0))[0]

        gradients = gradient(tuple(tf.constant(part) for part in episode))
        trainable = [names[id(tf_variable(v))] for v in learner.trainable_variables]
        return dict(zip(trainable, (g.numpy() for g in gradients), strict=True))

    def run(self, iterations: int) -> None:
        """As `fit` does, without its callbacks."""
        for _ in range(iterations):
            logs = self.learner.train_function(self.episodes)
        float(logs["loss"])


def _named_variables(learner: ModelLearner) -> Iterator[tuple[str, keras.Variable]]:
    """Every variable by its name in `exchange`."""
    adapting = learner.adapting
    for i, group in enumerate(adapting.groups):
        for name, weight in zip(("kernel", "bias"), group.weights, strict=False):
            yield f"layer{i}.{name}", weight.variable
        if i in adapting.transforms:
            yield f"layer{i}.transform", adapting.transforms[i]
        if adapting.mask_logits:
            yield f"layer{i}.mask_logits", adapting.mask_logits[i]
    for i, norm in enumerate(learner.function.batch_normalizations):
        yield f"layer{i}.beta", norm.beta
