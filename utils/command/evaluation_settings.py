"""How a trained run is evaluated, as one checked record."""

from dataclasses import dataclass

from utils.command.ranges import check_range


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
        numbers = {
            "update_batch_size": self.shot,
            "query_batch_size": self.query,
            "update_lr": self.update_lr,
            "num_test_tasks": self.num_tasks,
        }
        for name, value in numbers.items():
            check_range(name, value)
