"""One run of the program as an experiment: its flags, what they mean, how it is evaluated."""

from dataclasses import dataclass, replace
from functools import cached_property

from absl.flags import FlagValues

from utils.command.configuration import Config
from utils.command.evaluation_settings import EvaluationSettings
from utils.command.flags import config_from_flags, define, evaluation_settings, parse


@dataclass(frozen=True)
class Experiment:
    """One run: `main.py` with some flags, and how it is evaluated.

    Attributes:
        name: of its folder and files.
        flags: of `main.py`.
        shots: the numbers K of support examples that it is evaluated with.
    """

    name: str
    flags: tuple[str, ...]
    shots: tuple[int, ...] = (10,)

    @cached_property
    def _parsed(self) -> FlagValues:
        values = define(FlagValues())
        parse(["main.py", *self.flags], values)
        return values

    @cached_property
    def config(self) -> Config:
        """Of the run."""
        return config_from_flags(self._parsed)

    def settings(self, shot: int) -> EvaluationSettings:
        """How it is evaluated with `shot` support examples."""
        settings = evaluation_settings(self._parsed, self.config)
        return replace(settings, shot=shot, split="test")
