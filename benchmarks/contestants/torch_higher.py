"""PyTorch with `higher`: a stateless copy of the module, task after task. MAML only."""

from typing import Any

import higher
import torch
from torch import nn

from benchmarks.contestants.torch_task import (
    Task,
    Tensors,
    TorchContestant,
    adapted_names,
    loss,
    network,
)
from benchmarks.exchange import Arrays
from benchmarks.workloads import Workload


class _Network(nn.Module):
    """The parameters as a module, which is what `higher` works on."""

    def __init__(self, workload: Workload, parameters: Tensors):
        super().__init__()
        self.workload = workload
        self.names = list(parameters)
        for name, value in parameters.items():
            self.register_parameter(name.replace(".", "_"), nn.Parameter(value.detach()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = {name: getattr(self, name.replace(".", "_")) for name in self.names}
        return network(self.workload, weights, x)


class Higher(TorchContestant):
    """`innerloop_ctx` with plain gradient descent and one `backward` a task."""

    def __init__(self, workload: Workload, weights: Arrays, data_path: str | None, *process: Any):
        super().__init__(workload, weights, data_path, *process)
        self.module = _Network(workload, self.parameters)
        self.parameters = dict(zip(self.parameters, self.module.parameters(), strict=True))
        self.optimizer = torch.optim.Adam(self.module.parameters(), lr=1e-3, fused=True)
        self.inner_optimizer = torch.optim.SGD(
            [self.parameters[name] for name in adapted_names(self.parameters)], lr=workload.alpha
        )

    def backward(self, task: Task, count: int) -> None:
        """See `TorchContestant`."""
        support_x, support_y, query_x, query_y, _ = task
        for i in range(len(support_x)):
            with higher.innerloop_ctx(
                self.module, self.inner_optimizer, copy_initial_weights=False
            ) as (learner, descent):
                for _ in range(self.workload.inner_steps):
                    descent.step(loss(self.workload, learner(support_x[i]), support_y[i]))
                query_loss = loss(self.workload, learner(query_x[i]), query_y[i])
                (query_loss / count).backward()
