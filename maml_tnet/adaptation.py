"""The inner loop: what one task's learner does with its support examples (Algorithms 1 and 2)."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from maml_tnet.layers import SharedWeight, broadcastable, variation
from maml_tnet.losses import Loss
from maml_tnet.networks import TaskNetwork
from maml_tnet.recomputation import recomputed


class Examples(NamedTuple):
    """Labelled examples of a batch of tasks, as `TaskNetwork.forward` takes them.

    Attributes:
        inputs: `network.prepare` of [tasks, examples, ...].
        targets: [examples, tasks, outputs].
    """

    inputs: Any
    targets: tf.Tensor


def examples(network: TaskNetwork, x: tf.Tensor, y: tf.Tensor) -> Examples:
    """Prepare inputs [tasks, examples, ...] and targets [tasks, examples, outputs]."""
    return Examples(network.prepare(x), tf.transpose(y, [1, 0, 2]))


class InnerStep(NamedTuple):
    """One point of a task's path.

    Attributes:
        weights: the tasks' own W and b after this many steps, each [..., tasks, units]; after
            none, `SharedWeight`s.
        support_outputs: outputs on the support examples BEFORE the step that led here,
            [examples, tasks, outputs]; None for the start of the path.
    """

    weights: list[tf.Tensor | SharedWeight]
    support_outputs: tf.Tensor | None


def adaptation_path(
    network: TaskNetwork,
    loss: Loss,
    support: Examples,
    *,
    tasks: int | tf.Tensor,
    step_sizes: Sequence[tf.Tensor | float],
    masks: Sequence[Sequence[tf.Tensor]] | None = None,
    num_updates: int,
    first_order: bool = False,
    recompute: bool = False,
) -> Iterator[InnerStep]:
    """Walk all tasks' inner gradient steps at once, lines 4 to 9 of Algorithm 2.

    Each step is equation (8), W~ <- W~ - alpha M * grad_W L(W~, T, D_train); without masks it is
    equation (4), with a step size per weight it is Meta-SGD. T, zeta and the normalization's
    offset stay as they are. Everything is differentiable with respect to every parameter.

    Args:
        network: of which the tasks start with the initial weights.
        loss: its value [tasks] on the support examples is descended.
        support: the tasks' training examples D_train.
        tasks: number of tasks.
        step_sizes: alpha for every adapted weight: numbers, or Meta-SGD's tensors [..., 1, units].
        masks: for every step, M for every adapted weight, each [..., tasks, units].
        num_updates: number of inner steps.
        first_order: do not differentiate through the inner gradients (the original's stop_grad).
        recompute: keep only the weights between steps for the backward pass, which computes each
            step again: less memory where there are many steps, for more time.

    Yields:
        `InnerStep` after 0, 1, ..., num_updates steps.
    """

    def descend(
        weights: Sequence[tf.Tensor | SharedWeight], rates: Sequence[tf.Tensor | float]
    ) -> InnerStep:
        varied = [variation(weight) for weight in weights]
        with tf.GradientTape() as tape:
            tape.watch(varied)
            outputs = network.forward(support.inputs, weights)
            # Tasks share nothing that is adapted, so the gradient of the sum is every task's own.
            total = tf.reduce_sum(loss(outputs, support.targets, tf.shape(outputs)[0]))
        gradients = tape.gradient(total, varied)
        if first_order:
            gradients = [tf.stop_gradient(gradient) for gradient in gradients]
        moved = zip(weights, rates, gradients, strict=True)
        return InnerStep([broadcastable(w) + rate * g for w, rate, g in moved], outputs)

    # Until the first step all tasks have the same weights, which saves time.
    step = InnerStep(network.shared_weights(tasks), None)
    yield step
    for number in range(num_updates):
        # -alpha M first: it is smaller than the gradient, which is then read only once.
        rates = [-alpha for alpha in step_sizes]
        if masks is not None:
            rates = [rate * m for rate, m in zip(rates, masks[number], strict=True)]
        take_step = recomputed(descend) if recompute and number > 0 else descend
        step = take_step(step.weights, rates)
        yield step
