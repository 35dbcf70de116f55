"""Training a run with Keras' fit: spans of iterations, epochs, callbacks."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from tensorflow import keras

from data_generators import TaskSource
from maml_tnet import MetaLearner
from utils.command.configuration import Config
from utils.runs.callbacks import (
    EvaluateAveragedWeights,
    LogUpdateProbabilities,
    ProgressBar,
    SaveCheckpoints,
    SaveOnSignal,
    StopOnDivergence,
)
from utils.runs.checkpoints import Checkpoints
from utils.runs.datasets import EVALUATION_BATCH, held_out_episodes, planned_spans
from utils.runs.epoch_means import EpochMeans
from utils.runs.folder import Run
from utils.runs.log_file import WriteLog
from utils.runs.replicas import ALONE, Replicas

VALIDATION_TASKS = 200
HISTOGRAM_EPOCHS = 1  # from one of the weights' histograms to the next


def iterations_per_epoch(config: Config) -> int:
    """Iterations between two checkpoints (and validations, of image sources)."""
    return 500 if config.is_classification else 5000


def spans_per_epoch(config: Config) -> int:
    """Calls of the compiled function per epoch, between which the host sees the run."""
    return 50 if config.is_classification else 10


def plan_spans(start: int, total: int, per_epoch: int, spans: int) -> Iterator[tuple[int, int]]:
    """Cut the iterations start, ..., total - 1 into spans, equally many in every epoch.

    Epochs begin and end at the multiples of `per_epoch`, and their spans lie where they would
    without an interruption at `start`, so that it does not matter for what is saved, validated and
    logged where training started. Spans may be empty, as those before `start` are.

    Yields:
        (first iteration, one past the last iteration) of every span.
    """
    for first in range(start - start % per_epoch, total, per_epoch):
        cuts = np.linspace(first, min(first + per_epoch, total), spans + 1).round().astype(int)
        yield from itertools.pairwise(np.maximum(cuts, start).tolist())


def meta_step_size(config: Config, epoch: int) -> float:
    """beta of equation (14) in an epoch.

    It is constant until `cooldown` iterations before the end, and from the next epoch on it falls
    from epoch to epoch along a line that ends at 0.
    """
    total, per_epoch = config.total_iterations, iterations_per_epoch(config)
    first, last = epoch * per_epoch, min((epoch + 1) * per_epoch, total)
    if first < total - config.cooldown:
        return config.meta_lr
    return config.meta_lr * (total - (first + last) / 2) / config.cooldown


def train(
    run: Run,
    learner: MetaLearner,
    source: TaskSource,
    *,
    log: bool,
    progress: keras.callbacks.Callback | None = None,
    replicas: Replicas = ALONE,
) -> int:
    """Train from the last checkpoint, if there is one, to the run's last iteration.

    Args:
        run: started.
        learner: compiled.
        source: of its episodes.
        log: write TensorBoard and CSV logs.
        progress: shows the progress instead of the run's own lines and bar.
        replicas: of the learner.

    Returns:
        the number of iterations that the run has now.

    Raises:
        TrainingDiverged: the loss is not finite.
        UsageError: a checkpoint cannot be read or written.
        TrainingInterrupted: SIGINT or SIGTERM came; a checkpoint was saved.
    """
    config = run.config
    checkpoints = Checkpoints(run, learner)
    checkpoints.restore_latest()
    replicas.copy_from_chief(checkpoints.variables)
    start, total = int(checkpoints.iteration.numpy()), config.total_iterations
    per_epoch, spans = iterations_per_epoch(config), spans_per_epoch(config)
    means = EpochMeans(run.epoch_file, learner, start)
    # The row of an epoch that goes on is still to come, also where a shorter run ended in it.
    goes_on = start < total and means.go_on
    run.log.trim(start - start % per_epoch if goes_on else start)
    if start >= total:
        if progress is None:
            print(f"{run.folder} is trained: {start} iterations")
        return start

    def ends_epoch(iteration: int) -> bool:
        return iteration % per_epoch == 0

    signals = SaveOnSignal(checkpoints, means, lambda i: ends_epoch(i) or i == total, replicas.any)
    if progress is None:
        print(f"training {run.folder}: iterations {start} to {total}")
        progress = ProgressBar(start, total, signals.stop)
    callbacks = [
        means,
        StopOnDivergence(stop for _, stop in plan_spans(start, total, per_epoch, spans)),
        LogUpdateProbabilities(),
        EvaluateAveragedWeights(),
        SaveCheckpoints(checkpoints, means, ends_epoch),
        progress,
        signals,
    ]
    if log:
        callbacks[4:4] = [
            keras.callbacks.TensorBoard(
                str(run.tensorboard_folder), histogram_freq=HISTOGRAM_EPOCHS, write_graph=False
            ),
            WriteLog(run.log),
        ]
    if config.cooldown:
        # After the logger, whose file keeps the columns that the run began with.
        callbacks.append(
            keras.callbacks.LearningRateScheduler(lambda epoch, _: meta_step_size(config, epoch))
        )
    try:
        learner.fit(
            planned_spans(lambda: plan_spans(start, total, per_epoch, spans)),
            initial_epoch=start // per_epoch,
            epochs=-(-total // per_epoch),
            steps_per_epoch=spans,
            validation_data=_validation_tasks(config, source, replicas),
            callbacks=callbacks,
            shuffle=False,
            verbose=0,
        )
    except Exception:
        if isinstance(progress, ProgressBar):
            print()  # its line is open
        raise
    finally:
        signals.restore_handlers()
    return total


def _validation_tasks(
    config: Config, source: TaskSource, replicas: Replicas
) -> tf.data.Dataset | None:
    """On which an epoch ends, of images."""
    if not config.is_classification:
        return None
    return held_out_episodes(
        source,
        "val",
        tasks=VALIDATION_TASKS,
        # Which divides them, as the last batch is whole, too.
        batch=math.gcd(VALIDATION_TASKS, EVALUATION_BATCH[config.datasource] * replicas.count),
        shot=config.update_batch_size,
        query=config.query_batch_size,
    )
