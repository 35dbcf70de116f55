"""One task in PyTorch and its tasks in processes, shared by the contestants in PyTorch.

Images are [examples, channels, height, width], kernels [units, inputs, height, width].
"""

from collections.abc import Iterator
from multiprocessing.connection import Connection

import numpy as np
import torch
from torch import distributed, multiprocessing
from torch.nn import functional

from benchmarks.contestants import CORES
from benchmarks.exchange import Arrays, Batch
from benchmarks.workloads import Workload

Tensors = dict[str, torch.Tensor]
Task = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, list[torch.Tensor]]

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def to_parameters(weights: Arrays) -> Tensors:
    """Arrays -> leaves that require gradients."""
    return {
        name: torch.tensor(
            np.transpose(value, (3, 2, 0, 1)) if value.ndim == 4 else value, device=DEVICE
        ).requires_grad_()
        for name, value in weights.items()
    }


def to_arrays(tensors: Tensors) -> Arrays:
    """Undo `to_parameters`."""
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
    return {
        name: np.transpose(value, (2, 3, 1, 0)) if value.ndim == 4 else value
        for name, value in arrays.items()
    }


def to_task(batch: Batch) -> Task:
    """A batch's tensors, each with the task axis first."""

    def convert(x: np.ndarray) -> torch.Tensor:
        return torch.tensor(np.moveaxis(x, -1, 2).copy() if x.ndim == 5 else x, device=DEVICE)

    return (
        convert(batch.support_x),
        convert(batch.support_y),
        convert(batch.query_x),
        convert(batch.query_y),
        [convert(noise) for noise in batch.noise],
    )


def conv_block(
    x: torch.Tensor,
    kernel: torch.Tensor,
    transform: torch.Tensor | None,
    beta: torch.Tensor,
    *,
    max_pool: bool,
) -> torch.Tensor:
    """3x3 convolution padded as TensorFlow's SAME, T, batch norm, ReLU, max pooling if any.

    Where a task has more outputs than its kernel has rows, T goes into the kernel.
    """
    examples, features, height, width = x.shape
    outputs = examples * height * width // (1 if max_pool else 4)
    if transform is not None and outputs > 9 * features:
        kernel = torch.einsum("jihw,jk->kihw", kernel, transform)
        transform = None
    if max_pool:
        x = functional.conv2d(x, kernel, padding=1)
    elif x.shape[-1] % 2 == 0:
        x = functional.conv2d(functional.pad(x, (0, 1, 0, 1)), kernel, stride=2)
    else:
        x = functional.conv2d(x, kernel, stride=2, padding=1)
    if transform is not None:
        x = functional.conv2d(x, transform.t()[:, :, None, None])
    x = functional.batch_norm(x, None, None, bias=beta, training=True, eps=1e-3)
    # ReLU after pooling is the same, and faster.
    return functional.relu(functional.max_pool2d(x, 2) if max_pool else x)


def network(workload: Workload, weights: Tensors, x: torch.Tensor) -> torch.Tensor:
    """[examples, ...] -> [examples, outputs]."""
    last = len(workload.layers) - 1
    for i, layer in enumerate(workload.layers):
        kernel, transform = weights[f"layer{i}.kernel"], weights.get(f"layer{i}.transform")
        if layer.taps > 1:
            beta = weights[f"layer{i}.beta"]
            x = conv_block(x, kernel, transform, beta, max_pool=workload.max_pool)
            continue
        if x.ndim == 4:
            # In TensorFlow features come last, which decides the order of the head's inputs.
            x = x.permute(0, 2, 3, 1).flatten(1) if workload.max_pool else x.mean((2, 3))
        x = x @ kernel + weights[f"layer{i}.bias"]
        if transform is not None:
            x = x @ transform
        if i < last:
            x = functional.relu(x)
    return x


def loss(workload: Workload, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Squared error, or the sum of the cross-entropy over the shot."""
    if not workload.is_classification:
        return functional.mse_loss(outputs, targets)
    return functional.cross_entropy(outputs, targets, reduction="sum") / workload.shot


def adapted_names(weights: Tensors) -> list[str]:
    """Names of the weights that inner steps change."""
    return [name for name in weights if name.endswith((".kernel", ".bias"))]


def adapted_masks(weights: Tensors, noise: list[torch.Tensor]) -> Tensors:
    """Straight-through masks of one task by the name of the weight, to multiply it with."""
    masks = {}
    for i, draw in enumerate(noise):
        logits = weights[f"layer{i}.mask_logits"] + draw
        soft = torch.sigmoid(logits)
        mask = soft + ((logits > 0).to(soft.dtype) - soft).detach()
        is_conv = weights[f"layer{i}.kernel"].ndim == 4
        masks[f"layer{i}.kernel"] = mask[:, None, None, None] if is_conv else mask
        masks[f"layer{i}.bias"] = mask
    return masks


def sinusoid_episode(workload: Workload) -> tuple[torch.Tensor, ...]:
    """Equation (25): support and query points, [tasks, points, 1]."""
    unit = torch.rand(workload.tasks, 3 + workload.shot + workload.query, 1, device=DEVICE)
    amplitude = 0.1 + 4.9 * unit[:, :1]
    frequency = 0.8 + 0.4 * unit[:, 1:2]
    phase = torch.pi * unit[:, 2:3]
    x = 10 * unit[:, 3:] - 5
    y = amplitude * torch.sin(frequency * x + phase)
    shot = workload.shot
    return x[:, :shot], y[:, :shot], x[:, shot:], y[:, shot:]


def mask_noise(workload: Workload) -> list[torch.Tensor]:
    """Draw `Batch.noise`."""
    if not workload.is_mtnet:
        return []
    units = [layer.units for layer in workload.layers]
    uniform = torch.rand(workload.tasks, sum(units), device=DEVICE)
    return list(torch.logit(uniform, eps=1e-7).split(units, dim=1))


def training_tasks(workload: Workload, batches: list[Task]) -> Iterator[Task]:
    """Meta-batches without end: fresh sinusoids, or the given images; always fresh masks."""
    iteration = 0
    while True:
        if workload.is_classification:
            episode = batches[iteration % len(batches)][:4]
        else:
            episode = sinusoid_episode(workload)
        yield *episode, mask_noise(workload)
        iteration += 1


def serve(
    connection: Connection, kind: type["TorchContestant"], arguments: tuple, rank: int, port: int
) -> None:
    """A process of its own: do what the first process does, until that one ends."""
    replica = kind(*arguments, rank, port)
    while True:
        try:
            method, argument = connection.recv()
        except EOFError:
            return
        getattr(replica, method)(argument)


class TorchContestant:
    """What the contestants in PyTorch share; subclasses define `backward`.

    The tasks of images are shared out over processes, one a core, of one thread each (`ENTRIES`).
    All have the same weights, draw the same masks and make the same update with the sum of their
    gradients. Sinusoids and a GPU have one process.

    Args:
        workload: what to do.
        weights: to start from.
        data_path: not used, images are given.
        rank: of this process; the first starts the others and tells them what to do.
        port: by which the processes find each other.
    """

    def __init__(
        self,
        workload: Workload,
        weights: Arrays,
        data_path: str | None,
        rank: int = 0,
        port: int = 0,
    ):
        self.workload = workload
        self.rank = rank
        self.ranks = CORES if workload.is_classification and DEVICE.type == "cpu" else 1
        self.others: list[Connection] = []
        self.parameters = to_parameters(weights)
        self.optimizer = torch.optim.Adam(self.parameters.values(), lr=1e-3, fused=True)
        self.tasks = training_tasks(workload, [])
        if self.ranks == 1:
            return
        store = distributed.TCPStore(
            "127.0.0.1", port, self.ranks, is_master=rank == 0, wait_for_workers=False
        )
        if rank == 0:
            self._start_others((workload, weights, data_path), store.port)
        distributed.init_process_group("gloo", store=store, rank=rank, world_size=self.ranks)

    def _start_others(self, arguments: tuple, port: int) -> None:
        context = multiprocessing.get_context("spawn")
        for rank in range(1, self.ranks):
            here, there = context.Pipe()
            process_arguments = (there, type(self), arguments, rank, port)
            context.Process(target=serve, args=process_arguments, daemon=True).start()
            self.others.append(here)

    def _tell_others(self, method: str, argument: object) -> None:
        for connection in self.others:
            connection.send((method, argument))

    def use_batches(self, batches: list[Batch]) -> None:
        """Train on these images."""
        self._tell_others("use_batches", batches)
        self.tasks = training_tasks(self.workload, [to_task(batch) for batch in batches])

    def backward(self, task: Task, count: int) -> None:
        """Add a `count`-th of the sum of the tasks' gradients to the parameters' `.grad`."""
        raise NotImplementedError

    def _mean_gradient(self, task: Task) -> None:
        """The parameters' `.grad` becomes the meta-gradient, in every process."""
        count = len(task[0])
        *examples, noise = task
        own = slice(self.rank, None, self.ranks)
        for parameter in self.parameters.values():
            parameter.grad = torch.zeros_like(parameter)
        self.backward((*(value[own] for value in examples), [draw[own] for draw in noise]), count)
        if self.ranks > 1:
            gradients = [parameter.grad for parameter in self.parameters.values()]
            total = torch.cat([gradient.flatten() for gradient in gradients])
            distributed.all_reduce(total)
            parts = total.split([gradient.numel() for gradient in gradients])
            for gradient, part in zip(gradients, parts, strict=True):
                gradient.copy_(part.view_as(gradient))

    def meta_gradient(self, batch: Batch) -> Arrays:
        """See `contestants.Contestant`."""
        self._tell_others("meta_gradient", batch)
        self._mean_gradient(to_task(batch))
        return to_arrays({name: p.grad for name, p in self.parameters.items()})

    def run(self, iterations: int) -> None:
        """A Python loop of meta-iterations."""
        self._tell_others("run", iterations)
        for _ in range(iterations):
            self._mean_gradient(next(self.tasks))
            self.optimizer.step()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
