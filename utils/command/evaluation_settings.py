"""How a trained run is evaluated, as one checked record."""

from dataclasses import dataclass

from utils.errors import UsageError


@dataclass(frozen=True)
class EvaluationSettings:
    """How a trained run is evaluated.

    Attributes:
        shot: support examples per class (regression: points), K.
        query: query examples per class (regression: points).
        update_lr: step size alpha of the inner steps; Meta-SGD's own are learned.
        num_steps: loss and accuracy are reported after 0, 1, ..., num_steps inner steps.
        mask: "sample" draws M, "mode" thresholds P(update) at 1/2.
        split: "test" or "val".
        num_tasks: number of tasks.

    Raises:
        UsageError: a value out of range.
    """

    shot: int
    query: int
    update_lr: float
    num_steps: int
    mask: str
    split: str
    num_tasks: int

    def __post_init__(self) -> None:
        flag_names = {
            "update_batch_size": self.shot,
            "query_batch_size": self.query,
            "num_test_tasks": self.num_tasks,
        }
        for name, value in flag_names.items():
            if value < 1:
                raise UsageError(f"--{name} must be at least 1, got {value}")
        if not 0 < self.update_lr < float("inf"):
            raise UsageError(f"--update_lr must be positive and finite, got {self.update_lr}")
