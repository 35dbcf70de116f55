"""How baselines are trained and measured."""

from collections.abc import Iterator
from dataclasses import dataclass

from utils.command.configuration import Config

# By the names of their results, as tables call them.
TITLES = {"nearest_neighbour": "nearest neighbour", "fine_tuning": "fine-tuning"}


def result_name(baseline: str, shot: int) -> str:
    """What a baseline measured with K = `shot` is called, as meta-learners are."""
    return f"{baseline}-{shot}shot"


@dataclass(frozen=True)
class BaselinesPlan:
    """How the baselines of a table are trained and measured.

    Attributes:
        config: of a meta-learner beside which they stand: the data, the way, the filters, the seed.
        shots: the numbers K of support examples, and of queries, a class.
        test_tasks: those of the meta-learners.
        validation_tasks: on which is chosen what can be chosen.
        epochs: of the features' training.
    """

    config: Config
    shots: tuple[int, ...]
    test_tasks: int
    validation_tasks: int = 200
    epochs: int = 40

    @property
    def results(self) -> Iterator[tuple[str, str, int]]:
        """(name of the result, baseline, K) of all that is measured."""
        for shot in self.shots:
            for baseline in TITLES:
                yield result_name(baseline, shot), baseline, shot
