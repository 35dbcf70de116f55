"""Weights, meta-batches and meta-gradients as plain arrays, the same for every framework.

Names are "layer0.kernel", "layer0.bias", "layer0.transform", "layer0.mask_logits" and
"layer0.beta". Kernels are [height, width, inputs, units] or [inputs, units], a product is x W T.
"""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.workloads import Workload

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Batch:
    """The data of one meta-iteration.

    Attributes:
        support_x: [tasks, support, height, width, channels] or [tasks, points, 1].
        support_y: [tasks, support, outputs], one-hot or values.
        query_x: as support_x.
        query_y: as support_y.
        noise: standard logistic noise of the masks, [tasks, units] for each layer; empty for MAML.
    """

    support_x: np.ndarray
    support_y: np.ndarray
    query_x: np.ndarray
    query_y: np.ndarray
    noise: list[np.ndarray]

    def tasks(self, start: int, stop: int) -> "Batch":
        """Some of the tasks."""
        part = slice(start, stop)
        return Batch(
            self.support_x[part],
            self.support_y[part],
            self.query_x[part],
            self.query_y[part],
            [noise[part] for noise in self.noise],
        )

    def astype(self, dtype: str) -> "Batch":
        """The same values in another precision."""
        return Batch(
            self.support_x.astype(dtype),
            self.support_y.astype(dtype),
            self.query_x.astype(dtype),
            self.query_y.astype(dtype),
            [noise.astype(dtype) for noise in self.noise],
        )


def random_weights(workload: Workload, seed: int) -> Arrays:
    """Weights at which no part of the gradient vanishes by symmetry, unlike the initial ones.

    T is the identity with some noise, zeta and beta are not 0; the kernels' scale is that of
    Glorot's initialization.
    """
    random = np.random.RandomState(seed)
    weights: Arrays = {}
    for i, layer in enumerate(workload.layers):
        fan_in = layer.taps * layer.inputs
        shape = (
            [layer.inputs, layer.units] if layer.taps == 1 else [3, 3, layer.inputs, layer.units]
        )
        weights[f"layer{i}.kernel"] = random.normal(0, (1 / fan_in) ** 0.5, shape)
        if workload.has_bias[i]:
            weights[f"layer{i}.bias"] = random.normal(0, 0.1, layer.units)
        else:
            weights[f"layer{i}.beta"] = random.normal(0, 0.1, layer.units)
        if workload.is_mtnet:
            noise = random.normal(0, 0.1 * layer.units**-0.5, [layer.units, layer.units])
            weights[f"layer{i}.transform"] = np.eye(layer.units) + noise
            weights[f"layer{i}.mask_logits"] = random.normal(0, 0.5, layer.units)
    return {name: value.astype(np.float32) for name, value in weights.items()}


def random_noise(workload: Workload, seed: int) -> list[np.ndarray]:
    """Draw `Batch.noise`."""
    if not workload.is_mtnet:
        return []
    random = np.random.RandomState(seed)
    return [
        random.logistic(size=[workload.tasks, layer.units]).astype(np.float32)
        for layer in workload.layers
    ]


def save_batch(path: str | os.PathLike[str], batch: Batch) -> None:
    """Write a batch as .npz."""
    arrays = asdict(batch)
    noise = {f"noise{i}": value for i, value in enumerate(arrays.pop("noise"))}
    np.savez(Path(path), **arrays, **noise)


def load_batch(path: str | os.PathLike[str]) -> Batch:
    """Read what `save_batch` wrote."""
    with np.load(path) as stored:
        arrays = dict(stored)
    count = sum(name.startswith("noise") for name in arrays)
    return Batch(**{"noise": [arrays.pop(f"noise{i}") for i in range(count)]}, **arrays)


def load_arrays(path: str | os.PathLike[str]) -> Arrays:
    """Read a .npz of weights or gradients."""
    with np.load(path) as stored:
        return dict(stored)


def relative_errors(gradient: Arrays, reference: Arrays) -> dict[str, float]:
    """The norm of each tensor's difference over that of the reference's; infinite for a NaN.

    Raises:
        ValueError: the gradients are not of the same tensors.
    """
    if gradient.keys() != reference.keys():
        raise ValueError(
            f"gradients of different tensors: {sorted(gradient)} and {sorted(reference)}"
        )
    errors = {}
    for name, value in reference.items():
        error = float(np.linalg.norm(gradient[name] - value) / np.linalg.norm(value))
        errors[name] = error if np.isfinite(error) else float("inf")
    return errors
