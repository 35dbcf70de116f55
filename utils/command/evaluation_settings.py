"""How a trained run is evaluated, as one checked record."""

from dataclasses import dataclass

from utils.command.configuration import Config
from utils.command.ranges import check_range
from utils.command.recipes import SAME_AS_SHOT, recipe

# Evaluated with K queries per class, as in the original code, where training has the recipe's.
QUERIED_LIKE_SHOT = ("miniimagenet",)


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


def usual_queries(config: Config, shot: int) -> int:
    """The queries a class that a run is evaluated with, unless told otherwise.

    Args:
        config: of the run.
        shot: of the evaluation.
    """
    of_recipe = recipe(config.datasource, config.num_classes)["query_batch_size"]
    if of_recipe is SAME_AS_SHOT:
        follows_shot = config.query_batch_size == config.update_batch_size
    else:
        follows_shot = (
            config.datasource in QUERIED_LIKE_SHOT and config.query_batch_size == of_recipe
        )
    return shot if follows_shot else config.query_batch_size
