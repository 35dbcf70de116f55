"""maml_tnet, driven as `main.py` drives it: spans of iterations, episodes drawn inside."""

from collections.abc import Callable

import tensorflow as tf
from tensorflow import keras

from benchmarks.contestants.data import episode_source
from benchmarks.exchange import Arrays, Batch, random_noise
from benchmarks.workloads import Workload
from data_generators import Episode
from maml_tnet import ConvNet, MetaLearner, Regressor
from maml_tnet.compat import tf_variable
from maml_tnet.losses import cross_entropy, squared_error
from utils.runs.datasets import training_spans


class _GivenNoise(MetaLearner):
    """The meta-learner with the mask noise handed to it instead of drawn."""

    noise: list[tf.Tensor]

    def mask_noise(
        self, tasks: int | tf.Tensor, steps: int, seed: tf.Tensor
    ) -> list[list[tf.Tensor]]:
        return [self.noise] if self.network.mask_logits else []


class Ours:
    """See `contestants.Contestant`."""

    def __init__(self, workload: Workload, weights: Arrays, data_path: str | None):
        self.workload = workload
        self.source = episode_source(workload, data_path)
        options = {
            "use_transform": workload.is_mtnet,
            "mask_per": "unit" if workload.is_mtnet else None,
            "dtype": weights["layer0.kernel"].dtype.name,
        }
        if workload.is_classification:
            self.network = ConvNet(
                workload.image_shape,
                workload.way,
                num_filters=workload.units,
                max_pool=workload.max_pool,
                flatten=workload.max_pool,
                **options,
            )
        else:
            self.network = Regressor(dim_hidden=workload.units, **options)
        self.parameters = {name: tf_variable(v) for name, v in self._named_parameters()}
        if self.parameters.keys() != weights.keys():
            raise ValueError(f"parameters {sorted(self.parameters)}, weights {sorted(weights)}")
        for name, variable in self.parameters.items():
            variable.assign(weights[name])
        self.meta_learner = self._build(MetaLearner)
        self.meta_learner.make_train_function()
        self.trainable_names, self.gradient = self._gradient_function()
        self.iteration = 0

    def _named_parameters(self) -> list[tuple[str, tf.Variable]]:
        named = []
        for i, layer in enumerate(self.network.transform_layers):
            named.append((f"layer{i}.kernel", layer.kernel))
            if layer.bias is not None:
                named.append((f"layer{i}.bias", layer.bias))
            if layer.transform is not None:
                named.append((f"layer{i}.transform", layer.transform))
            named += [(f"layer{i}.mask_logits", logits) for logits in layer.mask_logits]
        normalizations = getattr(self.network, "normalizations", [])
        return named + [(f"layer{i}.beta", norm.beta) for i, norm in enumerate(normalizations)]

    def _build(self, kind: type[MetaLearner]) -> MetaLearner:
        meta_learner = kind(
            self.network,
            sample_episode=self.source,
            update_lr=self.workload.alpha,
            num_updates=self.workload.inner_steps,
        )
        meta_learner.compile(
            optimizer=keras.optimizers.Adam(1e-3),
            loss=cross_entropy if self.workload.is_classification else squared_error,
            jit_compile=self.network.compile_with_xla,
        )
        return meta_learner

    def _gradient_function(self) -> tuple[list[str], Callable[..., list[tf.Tensor]]]:
        meta_learner = self._build(_GivenNoise)

        @tf.function(jit_compile=self.network.compile_with_xla, autograph=False)
        def gradient(episode: Episode, noise: list[tf.Tensor]) -> list[tf.Tensor]:
            meta_learner.noise = noise
            return meta_learner.meta_gradient(episode, tf.zeros([2], tf.int32))[0]

        names = {id(variable): name for name, variable in self.parameters.items()}
        trainable = [names[id(tf_variable(v))] for v in meta_learner.trainable_variables]
        return trainable, gradient

    def draw(self, iteration: int, noise_seed: int) -> Batch:
        """Draw a meta-batch of the data source and noise for its masks."""
        episode = self.source(iteration)
        return Batch(
            *(value.numpy() for value in episode), noise=random_noise(self.workload, noise_seed)
        )

    def use_batches(self, batches: list[Batch]) -> None:
        """Nothing: episodes are drawn inside the compiled function."""

    def meta_gradient(self, batch: Batch) -> Arrays:
        """Compiled in the same way as the training step."""
        episode = (batch.support_x, batch.support_y, batch.query_x, batch.query_y)
        gradients = self.gradient(
            Episode(*(tf.constant(value) for value in episode)),
            [tf.constant(noise) for noise in batch.noise],
        )
        return dict(zip(self.trainable_names, (g.numpy() for g in gradients), strict=True))

    def run(self, iterations: int) -> None:
        """One span, which is one Keras batch."""
        stop = self.iteration + iterations
        span = training_spans([(self.iteration, stop)])
        logs = self.meta_learner.train_function(iter(span))
        if int(logs["iteration"]) != stop:
            raise ArithmeticError(f"the loss of iteration {int(logs['iteration'])} is not finite")
        self.iteration = stop
