"""One run of the program as an experiment: its flags, what they mean, how it is evaluated."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from absl.flags import FlagValues

from maml_tnet import MetaLearner
from utils.command.configuration import Config
from utils.command.evaluation_flags import evaluation_settings
from utils.command.evaluation_settings import EvaluationSettings, usual_queries
from utils.command.flags import config_from_flags, define, parse


@dataclass(frozen=True)
class Experiment:
    """One run: `main.py` with some flags, and how it is evaluated.

    Attributes:
        name: of its folder and files.
        flags: of `main.py`.
        shots: the numbers K of support examples that it is evaluated with.
        splits: that it is evaluated on.
        masks: how evaluation has M: "sample", and where there are masks "mode".
        run: name of its run's folder, where that is not the experiment's.
        initialize: gives the network other initial weights than its own.
        hopeless: asked after a trial of the first `TRIAL` iterations: whether training can be
            left there, as more of it would change nothing.
    """

    name: str
    flags: tuple[str, ...]
    shots: tuple[int, ...] = (10,)
    splits: tuple[str, ...] = ("test",)
    masks: tuple[str, ...] = ("sample",)
    run: str | None = None
    initialize: Callable[[MetaLearner], None] | None = None
    hopeless: Callable[[MetaLearner], bool] | None = None

    @cached_property
    def _parsed(self) -> FlagValues:
        values = define(FlagValues())
        parse(["main.py", *self.flags], values)
        return values

    @cached_property
    def config(self) -> Config:
        """Of the run."""
        return config_from_flags(self._parsed)

    def settings(self, shot: int, split: str = "test", mask: str = "sample") -> EvaluationSettings:
        """How it is evaluated with `shot` support examples."""
        settings = evaluation_settings(self._parsed, self.config)
        if shot != settings.shot:
            settings = replace(settings, shot=shot, query=usual_queries(self.config, shot))
        return replace(settings, split=split, mask=mask)

    @property
    def evaluations(self) -> list[EvaluationSettings]:
        """All evaluations that make up its result."""
        masks = [mask for mask in self.masks if mask == "sample" or self.config.use_M]
        return [
            self.settings(shot, split, mask)
            for shot in self.shots
            for split in self.splits
            for mask in masks
        ]
