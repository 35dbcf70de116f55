"""PyTorch with all tasks at once: `torch.func.vmap` over `torch.func.grad`."""

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


class TorchVmap(TorchContestant):
    """The losses of all tasks by one `vmap`, their mean's gradient by one `backward`."""

    def backward(self, task: Task, count: int) -> None:
        """See `TorchContestant`."""
        losses = vmap(self._task_loss, in_dims=(None, 0, 0, 0, 0, 0))(self.parameters, *task)
        (losses.sum() / count).backward()

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
