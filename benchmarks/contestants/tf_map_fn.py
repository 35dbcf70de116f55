"""The way of the public TF1 code in TF2: one task at a time inside `tf.map_fn`, conv2d per task."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from benchmarks.contestants.data import episode_source
from benchmarks.exchange import Arrays, Batch
from benchmarks.workloads import Workload


class MapFn:
    """See `contestants.Contestant`; draws its episodes with the project's data generators."""

    def __init__(self, workload: Workload, weights: Arrays, data_path: str | None):
        self.workload = workload
        self.source = episode_source(workload, data_path)
        self.parameters = {name: tf.Variable(value) for name, value in weights.items()}
        self.optimizer = keras.optimizers.Adam(1e-3)
        self.optimizer.build(list(self.parameters.values()))
        self.iteration = 0

    def _outputs(self, weights: dict[str, tf.Tensor], x: tf.Tensor) -> tf.Tensor:
        """[examples, ...] -> [examples, outputs]."""
        last = len(self.workload.layers) - 1
        for i, layer in enumerate(self.workload.layers):
            kernel = weights[f"layer{i}.kernel"]
            transform = weights.get(f"layer{i}.transform")
            if layer.taps == 1:
                if x.shape.rank == 4:
                    x = tf.reduce_mean(x, [1, 2])
                x = x @ kernel + weights[f"layer{i}.bias"]
                if transform is not None:
                    x = x @ transform
            else:
                x = tf.nn.conv2d(x, kernel, 2, "SAME")
                if transform is not None:
                    x = tf.nn.conv2d(x, transform[tf.newaxis, tf.newaxis], 1, "SAME")
                # Not tf.nn.moments: a stop_gradient in it makes the second derivative wrong.
                x -= tf.reduce_mean(x, [0, 1, 2])
                variance = tf.reduce_mean(tf.square(x), [0, 1, 2])
                x = x * tf.math.rsqrt(variance + 1e-3) + weights[f"layer{i}.beta"]
            if i < last:
                x = tf.nn.relu(x)
        return x

    def _loss(self, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        if not self.workload.is_classification:
            return tf.reduce_mean(tf.square(outputs - targets))
        losses = tf.nn.softmax_cross_entropy_with_logits(targets, outputs)
        return tf.reduce_sum(losses) / self.workload.shot

    def _task_loss(self, task: tuple) -> tf.Tensor:
        support_x, support_y, query_x, query_y, noise = task
        weights = {name: tf.convert_to_tensor(v) for name, v in self.parameters.items()}
        adapted = [name for name in weights if name.endswith((".kernel", ".bias"))]
        masks = {}
        for i, draw in enumerate(noise):
            logits = weights[f"layer{i}.mask_logits"] + draw
            soft = tf.sigmoid(logits)
            hard = tf.cast(logits > 0, soft.dtype)
            masks[f"layer{i}"] = soft + tf.stop_gradient(hard - soft)
        for _ in range(self.workload.inner_steps):
            with tf.GradientTape() as tape:
                own = [weights[name] for name in adapted]
                tape.watch(own)
                loss = self._loss(self._outputs(weights, support_x), support_y)
            for name, gradient in zip(adapted, tape.gradient(loss, own), strict=True):
                if masks:
                    gradient = masks[name.split(".")[0]] * gradient
                weights[name] = weights[name] - self.workload.alpha * gradient
        return self._loss(self._outputs(weights, query_x), query_y)

    @tf.function
    def _gradients(self, episode: tuple, noise: list[tf.Tensor]) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            losses = tf.map_fn(
                self._task_loss,
                (*episode, noise),
                fn_output_signature=episode[0].dtype,
                parallel_iterations=self.workload.tasks,
            )
            loss = tf.reduce_mean(losses)
        return tape.gradient(loss, list(self.parameters.values()))

    @tf.function
    def _train(self, start: tf.Tensor, stop: tf.Tensor) -> None:
        tasks = self.workload.tasks
        for iteration in tf.range(start, stop):
            noise = []
            if self.workload.is_mtnet:
                units = [layer.units for layer in self.workload.layers]
                uniform = tf.random.uniform([tasks, sum(units)], 1e-7, 1 - 1e-7)
                logistic = tf.math.log(uniform) - tf.math.log1p(-uniform)
                noise = tf.split(logistic, units, axis=1)
            gradients = self._gradients(tuple(self.source(iteration)), noise)
            self.optimizer.apply_gradients(zip(gradients, self.parameters.values(), strict=True))

    def use_batches(self, batches: list[Batch]) -> None:
        """Nothing: episodes are drawn."""

    def meta_gradient(self, batch: Batch) -> Arrays:
        """Compiled as in training."""
        episode = (batch.support_x, batch.support_y, batch.query_x, batch.query_y)
        tensors = tuple(tf.constant(value) for value in episode)
        gradients = self._gradients(tensors, [tf.constant(noise) for noise in batch.noise])
        return dict(zip(self.parameters, (np.asarray(g) for g in gradients), strict=True))

    def run(self, iterations: int) -> None:
        """All iterations in one compiled loop."""
        stop = self.iteration + iterations
        self._train(tf.constant(self.iteration), tf.constant(stop))
        self.iteration = stop
