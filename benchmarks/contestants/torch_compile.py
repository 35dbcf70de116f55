"""PyTorch with `torch.compile` of `torch.func.grad`."""

from typing import Any

import torch
from torch.func import grad, vmap

from benchmarks.contestants.torch_task import (
    Task,
    Tensors,
    TorchContestant,
    adapted_masks,
    adapted_names,
    loss,
    network,
)
from benchmarks.exchange import Arrays
from benchmarks.workloads import Workload


class TorchCompile(TorchContestant):
    """Images: one task's gradient compiled, task after task. Sinusoids: `vmap` of it compiled."""

    def __init__(self, workload: Workload, weights: Arrays, data_path: str | None, *process: Any):
        super().__init__(workload, weights, data_path, *process)
        gradient = grad(self._task_loss)
        if not workload.is_classification:
            gradient = vmap(gradient, in_dims=(None, 0, 0, 0, 0, 0))
        self.gradient = torch.compile(gradient, dynamic=False)

    def backward(self, task: Task, count: int) -> None:
        """See `TorchContestant`."""
        values = {name: parameter.detach() for name, parameter in self.parameters.items()}
        *examples, noise = task
        if not self.workload.is_classification:
            self._add(self.gradient(values, *task), count)
            return
        for i in range(len(examples[0])):
            own = [value[i] for value in examples]
            self._add(self.gradient(values, *own, [draw[i] for draw in noise]), count)

    def _add(self, gradients: Tensors, count: int) -> None:
        for name, parameter in self.parameters.items():
            gradient = gradients[name]
            if not self.workload.is_classification:
                gradient = gradient.sum(0)
            parameter.grad.add_(gradient, alpha=1 / count)

    def _task_loss(
        self,
        parameters: Tensors,
        support_x: torch.Tensor,
        support_y: torch.Tensor,
        query_x: torch.Tensor,
        query_y: torch.Tensor,
        noise: list[torch.Tensor],
    ) -> torch.Tensor:
        adapted = {name: parameters[name] for name in adapted_names(parameters)}
        masks = adapted_masks(parameters, noise)

        def support_loss(adapted: Tensors) -> torch.Tensor:
            outputs = network(self.workload, {**parameters, **adapted}, support_x)
            return loss(self.workload, outputs, support_y)

        for _ in range(self.workload.inner_steps):
            gradients = grad(support_loss)(adapted)
            adapted = {
                name: weight
                - self.workload.alpha
                * (masks[name] * gradients[name] if masks else gradients[name])
                for name, weight in adapted.items()
            }
        outputs = network(self.workload, {**parameters, **adapted}, query_x)
        return loss(self.workload, outputs, query_y)
