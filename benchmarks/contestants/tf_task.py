"""One task in TensorFlow: network, loss and gradient, shared by the contestants in TensorFlow."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow import keras

from benchmarks.contestants.data import episode_source
from benchmarks.exchange import Arrays, Batch
from benchmarks.workloads import Workload

Tensors = dict[str, tf.Tensor]


def normalize(x: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
    """Batch normalization of [examples, height, width, filters].

    Not by `tf.nn.moments`: a stop_gradient in it makes the second derivative wrong.
    """
    x -= tf.reduce_mean(x, [0, 1, 2])
    variance = tf.reduce_mean(tf.square(x), [0, 1, 2])
    return x * tf.math.rsqrt(variance + 1e-3) + beta


def normalize_fused(x: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
    """The same by TensorFlow's own operation, which exists in float32 only."""
    normalized, *_ = tf.compat.v1.nn.fused_batch_norm(x, tf.ones_like(beta), beta, epsilon=1e-3)
    return normalized


def network(workload: Workload, weights: Tensors, x: tf.Tensor) -> tf.Tensor:
    """[examples, ...] -> [examples, outputs]; T goes into a kernel that has fewer rows than y."""
    last = len(workload.layers) - 1
    for i, layer in enumerate(workload.layers):
        kernel, transform = weights[f"layer{i}.kernel"], weights.get(f"layer{i}.transform")
        if layer.taps == 1:
            if x.shape.rank == 4:
                flat = [x.shape[0], layer.inputs]
                x = tf.reshape(x, flat) if workload.max_pool else tf.reduce_mean(x, [1, 2])
            x = x @ kernel + weights[f"layer{i}.bias"]
            if transform is not None:
                x = x @ transform
        else:
            rows = layer.taps * layer.inputs
            if transform is not None and x.shape[0] * layer.positions > rows:
                kernel = tf.reshape(
                    tf.reshape(kernel, [rows, layer.units]) @ transform, kernel.shape
                )
                transform = None
            x = tf.nn.conv2d(x, kernel, 1 if workload.max_pool else 2, "SAME")
            if transform is not None:
                x = tf.reshape(tf.reshape(x, [-1, layer.units]) @ transform, x.shape)
            # Fused is the faster one for miniImagenet's large images, and the slower one for small.
            is_fused = workload.max_pool and x.dtype == tf.float32
            x = (normalize_fused if is_fused else normalize)(x, weights[f"layer{i}.beta"])
            if workload.max_pool:
                x = tf.nn.max_pool2d(x, 2, 2, "VALID")
        if i < last:
            x = tf.nn.relu(x)
    return x


def loss(workload: Workload, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Squared error, or the sum of the cross-entropy over the shot."""
    if not workload.is_classification:
        return tf.reduce_mean(tf.square(outputs - targets))
    losses = tf.nn.softmax_cross_entropy_with_logits(targets, outputs)
    return tf.reduce_sum(losses) / workload.shot


def task_loss(workload: Workload, parameters: Tensors, task: tuple) -> tf.Tensor:
    """The query loss of one task after its inner steps."""
    support_x, support_y, query_x, query_y, noise = task
    weights = dict(parameters)
    adapted = [name for name in weights if name.endswith((".kernel", ".bias"))]
    masks = {}
    for i, draw in enumerate(noise):
        logits = weights[f"layer{i}.mask_logits"] + draw
        soft = tf.sigmoid(logits)
        hard = tf.cast(logits > 0, soft.dtype)
        masks[f"layer{i}"] = soft + tf.stop_gradient(hard - soft)
    for _ in range(workload.inner_steps):
        with tf.GradientTape() as tape:
            own = [weights[name] for name in adapted]
            tape.watch(own)
            support_loss = loss(workload, network(workload, weights, support_x), support_y)
        for name, gradient in zip(adapted, tape.gradient(support_loss, own), strict=True):
            if masks:
                gradient = masks[name.split(".")[0]] * gradient
            weights[name] = weights[name] - workload.alpha * gradient
    return loss(workload, network(workload, weights, query_x), query_y)


class TfContestant:
    """What the contestants in TensorFlow share; subclasses define `mean_gradient`.

    Episodes are drawn with the project's data generators, in one compiled loop.
    """

    def __init__(self, workload: Workload, weights: Arrays, data_path: str | None):
        self.workload = workload
        self.source = episode_source(workload, data_path)
        self.parameters = {name: tf.Variable(value) for name, value in weights.items()}
        self.optimizer = keras.optimizers.Adam(1e-3)
        self.optimizer.build(list(self.parameters.values()))
        self.iteration = 0

    def mean_gradient(self, episode: tuple, noise: list[tf.Tensor]) -> Sequence[tf.Tensor]:
        """Of the mean query loss over the tasks, for each of the parameters."""
        raise NotImplementedError

    def task_gradient(self, task: tuple) -> list[tf.Tensor]:
        """Of one task's query loss, for each of the parameters."""
        parameters = {name: tf.convert_to_tensor(v) for name, v in self.parameters.items()}
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            query_loss = task_loss(self.workload, parameters, task)
        return list(tape.gradient(query_loss, parameters).values())

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
            gradients = self.mean_gradient(tuple(self.source(iteration)), noise)
            self.optimizer.apply_gradients(zip(gradients, self.parameters.values(), strict=True))

    def use_batches(self, batches: list[Batch]) -> None:
        """Nothing: episodes are drawn."""

    def meta_gradient(self, batch: Batch) -> Arrays:
        """Compiled as in training."""
        episode = (batch.support_x, batch.support_y, batch.query_x, batch.query_y)
        tensors = tuple(tf.constant(value) for value in episode)
        gradients = self.mean_gradient(tensors, [tf.constant(noise) for noise in batch.noise])
        return dict(zip(self.parameters, (np.asarray(g) for g in gradients), strict=True))

    def run(self, iterations: int) -> None:
        """All iterations in one compiled loop."""
        stop = self.iteration + iterations
        self._train(tf.constant(self.iteration), tf.constant(stop))
        self.iteration = stop
