"""Evaluating a trained run on held-out tasks: tables, files and plots."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from data_generators import TaskSource
from maml_tnet import MetaLearner
from utils.command.configuration import Config
from utils.command.evaluation_settings import EvaluationSettings, usual_queries
from utils.reports.evaluation_files import earlier_settings, write_report
from utils.reports.plots import Fit, plot_adaptation, plot_fits
from utils.reports.summary import Summary, summarize
from utils.reports.tables import Column, format_table
from utils.runs.datasets import EVALUATION_BATCH, held_out_episodes
from utils.runs.environment import environment
from utils.runs.folder import Run
from utils.runs.optimizers import evaluation_weights

SINUSOID_SHOTS = (5, 10, 20)
PLOTTED_FITS = 4
PLOTTED_POINTS = 100
PLOTTED_STEPS = (0, 1, 10)
MANY_STEPS = 30  # more are compiled for so long that it is said


@dataclass(frozen=True)
class Evaluation:
    """What held-out tasks gave; arrays are [tasks, steps + 1].

    Attributes:
        settings: of the evaluation.
        losses: on the queries.
        accuracies: fractions; None in regression.
        accuracies_alone: with each query asked alone; None where that makes no difference.
    """

    settings: EvaluationSettings
    losses: np.ndarray
    accuracies: np.ndarray | None
    accuracies_alone: np.ndarray | None = None

    @property
    def summary(self) -> Summary:
        """Of the accuracies, or in regression of the losses."""
        return summarize(self.losses if self.accuracies is None else self.accuracies)


def evaluation_episodes(
    config: Config,
    source: TaskSource,
    settings: EvaluationSettings,
    replicas: int = 1,
    first: int = 0,
) -> tf.data.Dataset:
    """The split's held-out tasks and their numbers, the same for every run of the data source.

    Args:
        config: of the run.
        source: of the tasks.
        settings: of the evaluation.
        replicas: over which each batch is shared out.
        first: number of the first task.

    Raises:
        DataError: the split has too few classes or images for them.
    """
    source.check(settings.split, shot=settings.shot, query=settings.query)
    return held_out_episodes(
        source,
        settings.split,
        tasks=settings.num_tasks,
        batch=EVALUATION_BATCH[config.datasource] * replicas,
        shot=settings.shot,
        query=settings.query,
        first=first,
    )


def measure(
    config: Config,
    learner: MetaLearner,
    source: TaskSource,
    settings: EvaluationSettings,
    first: int = 0,
) -> Evaluation:
    """Adapt to the split's held-out tasks and measure their queries after every inner step.

    Args:
        config: of the run.
        learner: with its weights.
        source: of the tasks.
        settings: of the evaluation.
        first: number of the first task.

    Raises:
        DataError: see `evaluation_episodes`.
    """
    episodes = evaluation_episodes(config, source, settings, learner.replicas, first)
    with evaluation_weights(learner):
        results = learner.predict(episodes, verbose=0)
    found = {name: values[: settings.num_tasks] for name, values in results.items()}
    return Evaluation(settings, found["loss"], found.get("accuracy"), found.get("accuracy_alone"))


def shots_to_evaluate(config: Config, shot: int) -> tuple[int, ...]:
    """The numbers of examples of the paper's table: one, or for sinusoids all of Table 1."""
    return SINUSOID_SHOTS if config.datasource == "sinusoid" and shot == 10 else (shot,)


def evaluate_run(
    run: Run,
    learner: MetaLearner,
    source: TaskSource,
    settings: EvaluationSettings,
    *,
    iteration: int,
    checkpoint: str = "last",
    published: Callable[[Config, int], str | None] = lambda config, shot: None,
) -> None:
    """Evaluate, print the table and write CSV, JSON and plots into the run's folder.

    Args:
        run: to evaluate.
        learner: with its weights.
        source: of held-out tasks.
        settings: of the evaluation.
        iteration: after which the weights are.
        checkpoint: which of the run's they are; files of another than the last are named by it.
        published: configuration and number of examples -> a figure to print beside ours, if any.
    """
    config = run.config
    if settings.num_steps > MANY_STEPS:
        print(f"compiling {settings.num_steps} inner steps, one by one: it takes long", flush=True)
    evaluations = [
        measure(config, learner, source, replace(settings, shot=shot))
        for shot in shots_to_evaluate(config, settings.shot)
    ]
    columns = _columns(config, evaluations, published)
    what = "accuracy in %" if config.is_classification else "mean squared error"
    print(
        f"\n{config.method} on {config.datasource}, {settings.split} split, {what}, "
        f"mask: {settings.mask}{_otherwise_than_trained(config, settings)}\n\n"
        f"{format_table(columns, config.num_updates)}\n"
    )
    _write_reports(run, evaluations, iteration, checkpoint)
    _plot(run, learner, source, settings, columns, checkpoint)


def _columns(
    config: Config,
    evaluations: Sequence[Evaluation],
    published: Callable[[Config, int], str | None],
) -> list[Column]:
    """Of the printed table, and the curves of the plot."""
    columns = []
    for evaluation in evaluations:
        shot = evaluation.settings.shot
        as_trained = evaluation.settings.update_lr == config.update_lr
        column = Column(
            label=f"{shot}-shot",
            summary=evaluation.summary,
            percent=config.is_classification,
            paper=published(config, shot) if as_trained else None,
        )
        columns.append(column)
        if evaluation.accuracies_alone is not None:
            alone = summarize(evaluation.accuracies_alone)
            columns.append(Column(f"{shot}-shot, queries alone", alone, percent=True))
    return columns


def _write_reports(
    run: Run, evaluations: Sequence[Evaluation], iteration: int, checkpoint: str
) -> None:
    """Write each evaluation's CSV and JSON."""
    versions = {key: str(value) for key, value in environment().items()}
    for evaluation in evaluations:
        name = report_name(run.config, evaluation.settings, checkpoint)
        otherwise = earlier_settings(run.evaluation_folder, name, evaluation.settings)
        files = write_report(
            run.evaluation_folder,
            name,
            config=run.config,
            iteration=iteration,
            settings=evaluation.settings,
            losses=evaluation.losses,
            accuracies=evaluation.accuracies,
            accuracies_alone=evaluation.accuracies_alone,
            versions=versions,
        )
        print("wrote", *files, *(["in place of those with", otherwise] if otherwise else []))


def _plot(
    run: Run,
    learner: MetaLearner,
    source: TaskSource,
    settings: EvaluationSettings,
    columns: Sequence[Column],
    checkpoint: str,
) -> None:
    """Draw the columns against the inner steps, and in regression some tasks' functions."""
    config = run.config
    kind = _kind(config, settings, checkpoint)
    if settings.shot != config.update_batch_size:
        kind = f"-{settings.shot}shot{kind}"
    plot = run.evaluation_folder / f"{settings.split}{kind}.png"
    plot_adaptation(
        plot,
        {column.label: column.summary for column in columns},
        config.num_updates,
        "accuracy" if config.is_classification else "mean squared error",
        log_scale=not config.is_classification,
    )
    print("wrote", plot)
    if not config.is_classification:
        split = "" if settings.split == "test" else f"-{settings.split}"
        plot = run.evaluation_folder / f"fits{split}{kind}.png"
        plot_fits(plot, fits(learner, source, settings))
        print("wrote", plot)


def report_name(config: Config, settings: EvaluationSettings, checkpoint: str) -> str:
    """File name of an evaluation: what distinguishes it from others of the same run."""
    return f"{settings.split}-{settings.shot}shot{_kind(config, settings, checkpoint)}"


def _kind(config: Config, settings: EvaluationSettings, checkpoint: str) -> str:
    """What an evaluation has otherwise than usual, for names of files."""
    name = ""
    if settings.update_lr != config.update_lr:
        short = f"{settings.update_lr:g}"
        name += f"-alpha{short if float(short) == settings.update_lr else settings.update_lr}"
    if settings.query != usual_queries(config, settings.shot):
        name += f"-{settings.query}queries"
    if settings.mask == "mode" and config.use_M:
        name += "-mode"
    return name if checkpoint == "last" else f"{name}-{checkpoint}"


def _otherwise_than_trained(config: Config, settings: EvaluationSettings) -> str:
    """What of an evaluation differs from training, for the line above the table."""
    parts = []
    if settings.shot != config.update_batch_size:
        parts.append(f"trained {config.update_batch_size}-shot")
    if settings.update_lr != config.update_lr:
        parts.append(f"alpha {settings.update_lr:g} (trained with {config.update_lr:g})")
    if settings.query != usual_queries(config, settings.shot):
        parts.append(f"{settings.query} queries")
    return "".join(f", {part}" for part in parts)


def fits(learner: MetaLearner, source: TaskSource, settings: EvaluationSettings) -> list[Fit]:
    """Predictions for a few held-out regression tasks before and after adaptation."""
    episode = source.held_out(
        settings.split, tf.range(PLOTTED_FITS), shot=settings.shot, query=PLOTTED_POINTS
    )
    with evaluation_weights(learner):
        predictions = {
            steps: learner.adapt_and_predict(
                episode.support_x, episode.support_y, episode.query_x, steps
            ).numpy()
            for steps in PLOTTED_STEPS
        }
    return [
        Fit(
            support_x=episode.support_x[task, :, 0].numpy(),
            support_y=episode.support_y[task, :, 0].numpy(),
            x=episode.query_x[task, :, 0].numpy(),
            true_y=episode.query_y[task, :, 0].numpy(),
            predictions={steps: p[task, :, 0] for steps, p in predictions.items()},
        )
        for task in range(PLOTTED_FITS)
    ]
