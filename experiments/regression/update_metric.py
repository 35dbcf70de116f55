"""Equation (24), measured: how an inner step of an MT-net changes a layer's pre-activation y.

One inner step moves y by -alpha T_M^T T_M grad_A L x, with A = T W and T_M = M_T * T^T: the plain
gradient step of y (equation 19), bent by a metric and confined to a subspace that the meta-learner
chose. In the row-vector code of this package, where y = (x W + b) T, the matrix is
T^T diag(m) T, and the bias is one more input that is always 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from data_generators import Episode
from maml_tnet import MetaLearner, adaptation_path, examples


@dataclass(frozen=True)
class LayerStep:
    """One layer and one task around the first inner step, in float64.

    Attributes:
        transform: T as in y = (x W + b) T, [units, units].
        mask: m, [units], 0 or 1.
        inputs: x of the support points, [support, features].
        gradients: of the task's loss with respect to their y, [support, units].
        alpha: step size.
        measured: change of y at the points x, W and b changing as the inner step says,
            [support, units].
    """

    transform: np.ndarray
    mask: np.ndarray
    inputs: np.ndarray
    gradients: np.ndarray
    alpha: float
    measured: np.ndarray

    @property
    def plain(self) -> np.ndarray:
        """Equation (19): the change without T and M, [support, units]."""
        products = self.inputs @ self.inputs.T + 1.0
        return -self.alpha * products @ self.gradients

    @property
    def predicted(self) -> np.ndarray:
        """Equation (24): the change that T and M predict, [support, units]."""
        return self.plain @ metric(self.transform, self.mask)


def metric(transform: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """T_M^T T_M of equation (24), [units, units], symmetric."""
    return transform.T @ np.diag(mask) @ transform


def observe(learner: MetaLearner, episode: Episode, layer: int, mask_seed: int) -> list[LayerStep]:
    """Take the first inner step of every task of an episode and look at one layer.

    The layer's inputs are those before the step, as equation (24) has x fixed.

    Args:
        learner: of a network with T and one mask logit per unit.
        episode: tasks.
        layer: number of the layer, from 0.
        mask_seed: of the draw of M.

    Raises:
        ValueError: the network has no T or no masks.
    """
    network = learner.network
    tasks = episode.support_x.shape[0]
    support = examples(network, episode.support_x, episode.support_y)
    noise = learner.mask_noise(tasks, 1, tf.constant([mask_seed, 0]))
    if not noise or network.transform_layers[layer].transform is None:
        raise ValueError("the network must be an MT-net, with T and masks")
    masks = learner.masks(1, noise)
    before, after = adaptation_path(
        network,
        learner.task_loss.values,
        support,
        tasks=tasks,
        step_sizes=learner.step_sizes,
        masks=masks,
    )
    weights_of = [before.fast_weights[i : i + 2] for i in range(0, len(before.fast_weights), 2)]
    hidden = support.inputs
    for number, weights in enumerate(weights_of[:layer]):
        hidden = tf.nn.relu(network.transform_layers[number](hidden, weights))
    observed = network.transform_layers[layer]
    y = observed(hidden, weights_of[layer])
    with tf.GradientTape() as tape:
        tape.watch(y)
        outputs = y
        for number in range(layer + 1, len(weights_of)):
            outputs = network.transform_layers[number](tf.nn.relu(outputs), weights_of[number])
        loss = tf.reduce_sum(
            learner.task_loss.values(outputs, support.targets, tf.shape(outputs)[0])
        )
    gradients = tape.gradient(loss, y)
    measured = observed(hidden, after.fast_weights[2 * layer : 2 * layer + 2]) - y
    mask = tf.broadcast_to(masks[0][2 * layer + 1], [tasks, observed.units])

    def of_task(values: tf.Tensor, task: int) -> np.ndarray:
        return values.numpy()[:, task].astype(np.float64)

    transform = tf.convert_to_tensor(observed.transform).numpy().astype(np.float64)
    return [
        LayerStep(
            transform=transform,
            mask=mask.numpy()[task].astype(np.float64),
            inputs=of_task(hidden, task),
            gradients=of_task(gradients, task),
            alpha=learner.update_lr,
            measured=of_task(measured, task),
        )
        for task in range(tasks)
    ]


def relative_error(steps: Sequence[LayerStep]) -> float:
    """Norm of (measured - predicted) as a share of the norm of measured, over all tasks."""
    measured = np.stack([step.measured for step in steps])
    predicted = np.stack([step.predicted for step in steps])
    return float(np.linalg.norm(measured - predicted) / np.linalg.norm(measured))


def singular_values_of_changes(steps: Sequence[LayerStep]) -> np.ndarray:
    """Singular values of all tasks' changes of y, largest first, as shares of the largest.

    They say how many directions of the space of y the learner uses.
    """
    changes = np.concatenate([step.measured for step in steps])
    values = np.linalg.svd(changes, compute_uv=False)
    return values / values[0]
