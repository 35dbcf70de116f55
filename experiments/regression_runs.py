"""The runs behind the paper's regression results: which there are, training them, their results.

A finished run leaves one JSON file with its configuration, the losses of every held-out task and
its mask logits; everything else is made of those files. A file is used again as long as its
configuration and its evaluation are what is asked for.
"""

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tensorflow import keras

from experiments.experiment import Experiment
from maml_tnet import MetaLearner
from system.atomic_file import atomic_write
from utils.command.configuration import Config
from utils.command.evaluation_settings import EvaluationSettings
from utils.errors import TrainingDiverged, UsageError
from utils.reports.evaluation import evaluation_episodes
from utils.runs.assembly import TaskSource, build_learner, build_source
from utils.runs.callbacks import Logs
from utils.runs.checkpoints import Checkpoints
from utils.runs.environment import environment
from utils.runs.folder import Run
from utils.runs.training import train

# Inner steps of which every task's loss is stored; the means are stored for all steps.
STORED_STEPS = (0, 1, 5, 10)
SIGNIFICANT_DIGITS = 5


@dataclass(frozen=True)
class Result:
    """What a run's JSON file says.

    Attributes:
        losses: K -> [tasks, len(STORED_STEPS)], after those numbers of inner steps; nan where a
            task diverged.
        mask_logits: zeta by layer; empty without masks.
        diverged_at: iteration at which training stopped for a loss that was not finite, or None.
        evaluated_at: iteration of the weights that were evaluated.
        seconds: that training and evaluation took.
        versions: see `utils.runs.environment.environment`.
    """

    losses: dict[int, np.ndarray]
    mask_logits: dict[str, np.ndarray]
    diverged_at: int | None
    evaluated_at: int
    seconds: float
    versions: dict[str, Any]

    def after(self, steps: int, shot: int = 10) -> np.ndarray:
        """The losses after a number of inner steps, [tasks]."""
        return self.losses[shot][:, STORED_STEPS.index(steps)]

    @property
    def update_probability(self) -> float:
        """P(update) = sigmoid(zeta), averaged over all logits of the network."""
        return float(np.mean(sigmoid(np.concatenate(list(self.mask_logits.values())))))

    def layer_update_probability(self, layer: str) -> float:
        """P(update) averaged over the logits of one layer."""
        return float(np.mean(sigmoid(self.mask_logits[layer])))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-logits)), elementwise."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(logits, np.float64)))


class TrainedRun(NamedTuple):
    """A run's end: the last iteration or, where training diverged, the last checkpoint.

    Attributes:
        learner: with its weights.
        source: of its tasks.
        iterations: number of iterations behind the weights.
        diverged_at: iteration at which the loss was not finite, or None.
    """

    learner: MetaLearner
    source: TaskSource
    iterations: int
    diverged_at: int | None


class Runs:
    """Trains and evaluates experiments, each once, behind one progress bar.

    Args:
        results: folder of the JSON files.
        workdir: folder of the runs, with their checkpoints.
    """

    def __init__(self, results: Path, workdir: Path):
        self.results = results
        self.workdir = workdir

    def finish(self, experiments: Iterable[Experiment]) -> None:
        """Train and evaluate what is not finished yet.

        Raises:
            UsageError: a run's folder holds another run, or cannot be written.
            TrainingInterrupted: a signal came; the same call goes on from there.
        """
        unique = {experiment.name: experiment for experiment in experiments}.values()
        missing = [experiment for experiment in unique if not self.has(experiment)]
        print(f"{len(unique)} runs, {len(missing)} of them to do")
        if not missing:
            return
        bar = keras.utils.Progbar(
            sum(experiment.config.total_iterations for experiment in missing),
            stateful_metrics=["run", "loss"],
            interval=0.5 if sys.stdout.isatty() else 30,
            unit_name="iteration",
        )
        done = 0
        for number, experiment in enumerate(missing, 1):
            total = experiment.config.total_iterations
            self._do(experiment, OverallProgress(bar, done, number))
            done += total
            bar.update(done, finalize=number == len(missing))
            keras.backend.clear_session()

    def has(self, experiment: Experiment) -> bool:
        """Whether the experiment is finished."""
        return self._stored(experiment) is not None

    def result(self, experiment: Experiment) -> Result:
        """Return the result of a finished experiment."""
        stored = self._stored(experiment)
        if stored is None:
            raise ValueError(f"{experiment.name} is not finished: call finish first")
        return stored

    def trained(self, experiment: Experiment) -> tuple[MetaLearner, TaskSource]:
        """Return a learner with the weights of a run, trained now if there is no checkpoint."""
        trained = self._train(experiment, keras.callbacks.Callback())
        return trained.learner, trained.source

    def _do(self, experiment: Experiment, progress: keras.callbacks.Callback) -> None:
        start = time.monotonic()
        trained = self._train(experiment, progress)
        losses = {
            shot: held_out_losses(
                trained.learner, trained.source, experiment.settings(shot), experiment.config
            )
            for shot in experiment.shots
        }
        seconds = time.monotonic() - start
        document = {
            "name": experiment.name,
            "main.py": " ".join(experiment.flags),
            "configuration": experiment.config.to_dict(),
            "stored_steps": STORED_STEPS,
            "diverged_at": trained.diverged_at,
            "evaluated_at": trained.iterations,
            "seconds": round(seconds, 1),
            "versions": _versions(),
            "mask_logits": {
                layer.name: _rounded(np.concatenate([np.ravel(z) for z in layer.mask_logits]))
                for layer in trained.learner.network.transform_layers
                if layer.mask_logits
            },
            "evaluations": {
                str(shot): {
                    "settings": asdict(experiment.settings(shot)),
                    "mean": _rounded(_quiet_mean(values)),
                    "diverged": np.sum(~np.isfinite(values), axis=0).tolist(),
                    "per_task": _rounded(values[:, STORED_STEPS]),
                }
                for shot, values in losses.items()
            },
        }
        with atomic_write(self._file(experiment)) as file:
            file.write((json.dumps(document, allow_nan=False) + "\n").encode())

    def _train(self, experiment: Experiment, progress: keras.callbacks.Callback) -> "TrainedRun":
        source = build_source(experiment.config, None, "")
        learner = build_learner(experiment.config, source)
        run = Run(self.workdir / experiment.name, experiment.config)
        run.start(resume=True)
        try:
            train(run, learner, source, log=False, progress=progress)
        except TrainingDiverged as error:
            learner = build_learner(experiment.config, source)
            iterations = Checkpoints(run, learner).restore_latest()
            return TrainedRun(learner, source, iterations, error.iteration)
        return TrainedRun(learner, source, experiment.config.total_iterations, None)

    def _file(self, experiment: Experiment) -> Path:
        return self.results / f"{experiment.name}.json"

    def _stored(self, experiment: Experiment) -> Result | None:
        """Return the stored result if it is of this configuration, evaluated as asked for."""
        try:
            document = json.loads(self._file(experiment).read_text())
            evaluations = document["evaluations"]
            stored = Config.from_dict(document["configuration"], experiment.name)
            fits = stored == experiment.config and all(
                evaluations[str(shot)]["settings"] == asdict(experiment.settings(shot))
                for shot in experiment.shots
            )
        except (OSError, ValueError, KeyError, UsageError):
            return None
        return read_result(document) if fits else None


def read_result(document: dict[str, Any]) -> Result:
    """Return the result in a run's JSON document."""
    return Result(
        losses={
            int(shot): np.array(evaluation["per_task"], np.float64)
            for shot, evaluation in document["evaluations"].items()
        },
        mask_logits={layer: np.array(logits) for layer, logits in document["mask_logits"].items()},
        diverged_at=document["diverged_at"],
        evaluated_at=document["evaluated_at"],
        seconds=document["seconds"],
        versions=document["versions"],
    )


def held_out_losses(
    learner: MetaLearner, source: TaskSource, settings: EvaluationSettings, config: Config
) -> np.ndarray:
    """Return the held-out tasks' losses after 0, 1, ... inner steps, [tasks, steps + 1].

    The tasks are those of `reports.evaluation.measure`. Nothing is compiled: for a few batches of a
    small network that takes a tenth of the time that compiling their unrolled steps takes.
    """
    episodes = evaluation_episodes(config, source, settings)
    losses = [learner.predict_step(numbered)["loss"].numpy() for numbered in episodes]
    return np.concatenate(losses)[: settings.num_tasks]


class OverallProgress(keras.callbacks.Callback):
    """Shows one run's training as a part of a progress bar over several runs.

    Args:
        bar: over the iterations of all runs.
        before: number of iterations of the runs before this one.
        number: of this run.
    """

    def __init__(self, bar: keras.utils.Progbar, before: int, number: int):
        super().__init__()
        self._bar = bar
        self._before = before
        self._number = number

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar."""
        logs = logs or {}
        values = [("run", self._number), ("loss", float(logs["loss"]))]
        self._bar.update(self._before + int(logs["iteration"]), values, finalize=False)


def _versions() -> dict[str, Any]:
    """Describe the machine and its software; the command stands beside the configuration."""
    return {name: value for name, value in environment().items() if name != "command"}


def _quiet_mean(values: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):
        return np.mean(values, axis=0, dtype=np.float64)


def _rounded(values: Any) -> Any:
    """An array or number, as nested lists, to a few significant digits; None for nan and inf."""
    if np.ndim(values):
        return [_rounded(value) for value in values]
    value = float(f"{float(values):.{SIGNIFICANT_DIGITS}g}")
    return value if np.isfinite(value) else None
