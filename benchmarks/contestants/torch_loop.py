"""PyTorch as learn2learn does it: clone and update, task after task."""

import torch

from benchmarks.contestants.torch_task import (
    Task,
    TorchContestant,
    adapted_masks,
    adapted_names,
    loss,
    network,
)


class TorchLoop(TorchContestant):
    """`autograd.grad(create_graph=True)` and one `backward` a task."""

    def backward(self, task: Task, count: int) -> None:
        """Task after task, so that only one task's graph is alive."""
        *examples, noise = task
        for i in range(len(examples[0])):
            query_loss = self._task_loss(
                *(value[i] for value in examples), [draw[i] for draw in noise]
            )
            (query_loss / count).backward()

    def _task_loss(
        self,
        support_x: torch.Tensor,
        support_y: torch.Tensor,
        query_x: torch.Tensor,
        query_y: torch.Tensor,
        noise: list[torch.Tensor],
    ) -> torch.Tensor:
        weights = dict(self.parameters)
        names = adapted_names(weights)
        masks = adapted_masks(weights, noise)
        for _ in range(self.workload.inner_steps):
            support_loss = loss(
                self.workload, network(self.workload, weights, support_x), support_y
            )
            gradients = torch.autograd.grad(
                support_loss, [weights[name] for name in names], create_graph=True
            )
            for name, gradient in zip(names, gradients, strict=True):
                step = masks[name] * gradient if masks else gradient
                weights[name] = weights[name] - self.workload.alpha * step
        return loss(self.workload, network(self.workload, weights, query_x), query_y)
