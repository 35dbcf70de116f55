"""The inner loop: what one task's learner does with its support examples (Algorithms 1 and 2)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from maml_tnet.second_derivatives import missing_derivatives
from maml_tnet.task_network import TaskNetwork


class Examples(NamedTuple):
    """Labelled examples of a batch of tasks, as `TaskNetwork.forward` takes them.

    Attributes:
        inputs: `network.prepare` of [tasks, examples, ...].
        targets: [examples, tasks, outputs].
    """

    inputs: Any
    targets: Any


def examples(network: TaskNetwork, x: tf.Tensor, y: tf.Tensor) -> Examples:
    """Prepare inputs [tasks, examples, ...] and targets [tasks, examples, outputs]."""
    return Examples(network.prepare(x), tf.transpose(y, [1, 0, 2]))


class AdaptableNetwork(Protocol):
    """What the inner loop asks of a network, see `TaskNetwork`."""

    def start(self, inputs: Any, targets: Any, tasks: Any) -> list[tf.Tensor]:
        """The fast weights from which the inner steps on a support set start."""

    def forward(self, inputs: Any, fast_weights: Sequence[tf.Tensor]) -> Any:
        """Outputs under the tasks' own weights."""


class InnerStep(NamedTuple):
    """One point of a task's path.

    Attributes:
        fast_weights: the tasks' own W and b after this many steps, each [..., tasks, units].
        support_outputs: outputs on the support examples BEFORE the step that led here,
            [examples, tasks, outputs]; None for the start of the path.
    """

    fast_weights: list[tf.Tensor]
    support_outputs: tf.Tensor | None


def adaptation_path(
    network: AdaptableNetwork,
    loss: Callable[[Any, Any, Any], tf.Tensor],
    support: Examples,
    *,
    tasks: int | tf.Tensor,
    step_sizes: Sequence[tf.Tensor | float],
    masks: Sequence[Sequence[tf.Tensor | float]],
    first_order: bool = False,
    project: Callable[[list[tf.Tensor]], list[tf.Tensor]] = list,
) -> Iterator[InnerStep]:
    """Walk all tasks' inner gradient steps at once, lines 4 to 9 of Algorithm 2.

    Each step is equation (8), W~ <- W~ - alpha M * grad_W L(W~, T, D_train); with masks of 1 it is
    equation (4), with a step size per weight it is Meta-SGD. T, zeta and the normalization's
    offset stay as they are. Everything is differentiable with respect to every parameter.

    Args:
        network: whose initial weights, or whose prototypes of the support set, tasks start with.
        loss: (outputs, targets, number of support examples) -> [tasks], which is descended.
        support: the tasks' training examples D_train.
        tasks: number of tasks.
        step_sizes: alpha for every weight: numbers, or Meta-SGD's tensors [..., 1, units].
        masks: for every step to take, M for every weight, each [..., tasks, units], or 1.
        first_order: do not differentiate through the inner gradients (the original's stop_grad).
        project: what becomes of the weights after every step, such as constraints; nothing.

    Yields:
        `InnerStep` after 0, 1, ..., len(masks) steps.

    Raises:
        ValueError: TensorFlow lacks a derivative that a step needs.
    """
    weights = network.start(support.inputs, support.targets, tasks)
    yield InnerStep(weights, None)
    for step_masks in masks:
        with tf.GradientTape() as tape:
            tape.watch(weights)
            outputs = network.forward(support.inputs, weights)
            # Tasks share no fast weight, so the gradient of the sum is every task's own.
            support_size = tf.shape(tf.nest.flatten(outputs)[0])[0]
            total = tf.reduce_sum(loss(outputs, support.targets, support_size))
        with missing_derivatives():
            gradients = tape.gradient(
                total, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO
            )
        # An embedding's gradient comes as slices.
        gradients = [tf.convert_to_tensor(g) for g in gradients]
        if first_order:
            gradients = [tf.stop_gradient(g) for g in gradients]
        # alpha M first: it is smaller than the gradient, which is then read only once.
        weights = [
            w - (alpha * m) * g
            for w, alpha, m, g in zip(weights, step_sizes, step_masks, gradients, strict=True)
        ]
        weights = project(weights)
        yield InnerStep(weights, outputs)
