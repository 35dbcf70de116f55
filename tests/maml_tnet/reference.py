"""The networks and the meta-objective written plainly, to check the fast formulation against.

One task at a time in a Python loop, `tf.nn.conv2d` for that task alone, T as a matrix product over
the activations, textbook batch normalization, a bias in every layer. Nothing of how `maml_tnet`
computes is used: only a network's arguments and variables are read.

Differentiate `meta_loss` with a gradient tape to have the reference of the meta-gradient.
"""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

EPSILON = 1e-3


def meta_loss(
    network: Any,
    episode: Any,
    *,
    classification: bool,
    step_sizes: Sequence[Any],
    num_updates: int,
    masks: Sequence[Sequence[tf.Tensor]] | None = None,
    first_order: bool = False,
) -> tf.Tensor:
    """Mean over the tasks of the query loss after adaptation, a scalar.

    Args:
        network: `Regressor` or `ConvNet`.
        episode: support_x, support_y, query_x, query_y, each [tasks, examples, ...].
        classification: cross-entropy, else squared error.
        step_sizes: alpha of every adapted weight, numbers or tensors of the weight's shape.
        num_updates: number of inner steps.
        masks: [step][weight][..., tasks, units], as `MetaLearner.masks` returns them.
        first_order: treat the inner gradients as constants.
    """
    losses = []
    for task in range(episode.support_x.shape[0]):
        weights = [tf.convert_to_tensor(w) for w in network.initial_weights]
        task_masks = masks and [[mask[..., task, :] for mask in step] for step in masks]
        adapted = inner_steps(
            network,
            weights,
            episode.support_x[task],
            episode.support_y[task],
            classification=classification,
            step_sizes=step_sizes,
            num_updates=num_updates,
            masks=task_masks,
            first_order=first_order,
        )
        outputs = task_outputs(network, adapted, episode.query_x[task])
        shot = _shot(episode.support_y[task])
        losses.append(task_loss(outputs, episode.query_y[task], shot, classification))
    return tf.add_n(losses) / len(losses)


def inner_steps(
    network: Any,
    weights: Sequence[tf.Tensor],
    x: tf.Tensor,
    y: tf.Tensor,
    *,
    classification: bool,
    step_sizes: Sequence[Any],
    num_updates: int,
    masks: Sequence[Sequence[tf.Tensor]] | None = None,
    first_order: bool = False,
) -> list[tf.Tensor]:
    """One task's weights after `num_updates` steps of equation (8) on x, y [examples, ...]."""
    # A bias that the network leaves out (before batch normalization) is there, 0, and adapted.
    weights = list(weights)
    biases = _left_out_biases(network)
    for step in range(num_updates):
        with tf.GradientTape() as tape:
            tape.watch([weights, biases])
            outputs = task_outputs(network, weights, x, biases)
            loss = task_loss(outputs, y, _shot(y), classification)
        gradients, bias_gradients = tape.gradient(loss, [weights, biases])
        if first_order:
            gradients = [tf.stop_gradient(g) for g in gradients]
        for i, gradient in enumerate(gradients):
            mask = 1.0 if masks is None else tf.cast(masks[step][i], gradient.dtype)
            weights[i] = weights[i] - step_sizes[i] * mask * gradient
        biases = [b - g for b, g in zip(biases, bias_gradients, strict=True)]
    return weights


def task_outputs(
    network: Any,
    weights: Sequence[tf.Tensor],
    x: tf.Tensor,
    left_out_biases: Sequence[tf.Tensor] = (),
) -> tf.Tensor:
    """Outputs [examples, outputs] of one task with its own weights, for x [examples, ...]."""
    if "image_shape" in network.arguments:
        return _conv_net(network, list(weights), x, list(left_out_biases))
    *body, head = network.transform_layers
    remaining = list(weights)
    for layer in body:
        x = tf.nn.relu(_dense(layer, remaining.pop(0), remaining.pop(0), x))
    return _dense(head, remaining.pop(0), remaining.pop(0), x)


def task_loss(outputs: tf.Tensor, y: tf.Tensor, shot: int, classification: bool) -> tf.Tensor:
    """Mean squared error, or the sum of the cross-entropies divided by the shot."""
    if not classification:
        return tf.reduce_mean((outputs - y) ** 2)
    return -tf.reduce_sum(y * tf.nn.log_softmax(outputs)) / shot


def _shot(support_y: tf.Tensor) -> float:
    return support_y.shape[0] / support_y.shape[-1]


def _left_out_biases(network: Any) -> list[tf.Tensor]:
    return [
        tf.zeros([layer.units], layer.kernel.dtype)
        for layer in network.transform_layers
        if layer.bias is None
    ]


def _transform(layer: Any, y: tf.Tensor) -> tf.Tensor:
    if layer.transform is None:
        return y
    return tf.matmul(y, tf.convert_to_tensor(layer.transform))


def _dense(layer: Any, kernel: tf.Tensor, bias: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    return _transform(layer, tf.matmul(x, kernel) + bias)


def _conv_net(
    network: Any, weights: list[tf.Tensor], x: tf.Tensor, left_out_biases: list[tf.Tensor]
) -> tf.Tensor:
    arguments = network.arguments
    *body, head = network.transform_layers
    stride = 1 if arguments["max_pool"] else 2
    for i, layer in enumerate(body):
        y = tf.nn.conv2d(x, weights.pop(0), stride, "SAME")
        if layer.bias is not None:
            y += weights.pop(0)
        elif left_out_biases:
            y += left_out_biases.pop(0)
        y = _transform(layer, y)
        if arguments["norm"] is not None:
            axes = [0, 1, 2] if arguments["norm"] == "batch_norm" else [1, 2, 3]
            # Not `tf.nn.moments`, whose variance holds the mean constant: second derivatives of
            # it are wrong.
            mean = tf.reduce_mean(y, axes, keepdims=True)
            variance = tf.reduce_mean((y - mean) ** 2, axes, keepdims=True)
            beta = tf.convert_to_tensor(network.normalizations[i].beta)
            y = (y - mean) / tf.sqrt(variance + EPSILON) + beta
        x = tf.nn.relu(y)
        if arguments["max_pool"]:
            x = tf.nn.max_pool2d(x, 2, 2, "VALID")
    flat, mean = tf.reshape(x, [x.shape[0], -1]), tf.reduce_mean(x, axis=[1, 2])
    return _dense(head, *weights, flat if arguments["flatten"] else mean)
