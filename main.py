"""Meta-train, evaluate and export MAML, Meta-SGD, T-nets and MT-nets.

python main.py --use_T --use_M                                  the paper's sinusoid MT-net
python main.py --datasource=omniglot --use_T --use_M            5-way 1-shot Omniglot
python main.py --datasource=omniglot --use_T --use_M --notrain --test_set
python main.py --predict --model=RUN --support=DIR --query=DIR  classify your own images
"""

import signal
import sys
from dataclasses import replace
from pathlib import Path

import utils.tensorflow_environment  # noqa: F401

import tensorflow as tf
from absl import app, flags

from data_generators import DataError, Polynomial, Sinusoid
from experiments.paper import paper_figure
from maml_tnet import ExportError, MetaLearner
from utils.command.configuration import IMAGE_SOURCES, Config
from utils.command.evaluation_settings import EvaluationSettings
from utils.command.flags import (
    LATEST,
    cache_folder,
    config_from_flags,
    define,
    evaluation_settings,
    parse,
)
from utils.errors import TrainingInterrupted, UsageError, one_line
from utils.prediction.exporting import export_trained
from utils.prediction.model_input import ModelInput
from utils.prediction.saved_model import find_model, predict
from utils.prediction.tasks import held_out_task, read_queries, read_support
from utils.reports.contact_sheet import plot_contact_sheet
from utils.reports.evaluation import evaluate_run
from utils.runs.assembly import TaskSource, build_learner, build_source
from utils.runs.checkpoints import Checkpoints
from utils.runs.folder import Run
from utils.runs.training import train

FLAGS = flags.FLAGS


def train_and_evaluate(run: Run, source: TaskSource, settings: EvaluationSettings) -> None:
    """Train to the end, measure the held-out test tasks, export."""
    settings = replace(settings, split="test")
    learner = _learner(run.config, source, settings)
    run.start(resume=FLAGS.resume)
    iteration = train(run, learner, source, log=FLAGS.log)
    evaluate_run(run, learner, source, settings, iteration=iteration, published=paper_figure)
    _export(learner, source, run.config, FLAGS.export_dir or str(run.folder / "saved_model"))


def evaluate(run: Run, source: TaskSource, settings: EvaluationSettings) -> None:
    """Measure a checkpoint on held-out tasks; export it if asked to."""
    run.check_config()
    if FLAGS.test_best and FLAGS.test_iter != LATEST:
        raise UsageError(f"--test_best and --test_iter={FLAGS.test_iter} exclude each other")
    learner = _learner(run.config, source, settings)
    checkpoints = Checkpoints(run, learner)
    if FLAGS.test_best:
        checkpoint, iteration = "best", checkpoints.restore_best()
    elif FLAGS.test_iter != LATEST:
        iteration = checkpoints.restore_iteration(FLAGS.test_iter)
        checkpoint = f"iteration{iteration}"
    else:
        checkpoint, iteration = "last", checkpoints.restore_latest()
    if iteration == 0:
        raise UsageError(f"{run.folder} has no checkpoint yet: train it first")
    print(f"evaluating {run.folder} after {iteration} iterations")
    evaluate_run(
        run,
        learner,
        source,
        settings,
        iteration=iteration,
        checkpoint=checkpoint,
        published=paper_figure,
    )
    if FLAGS.export_dir:
        _export(learner, source, run.config, FLAGS.export_dir)


def classify() -> None:
    """Learn a support set with a trained model, and print and draw what it says of other images."""
    model = find_model(FLAGS.model)
    model_input = ModelInput.beside(model)
    if Path(FLAGS.picture).suffix not in (".png", ".pdf"):
        raise UsageError(f"--picture must end in .png or .pdf, got {FLAGS.picture!r}")
    if (FLAGS.support is None) != (FLAGS.query is None):
        raise UsageError("--support and --query belong together: give both or neither")
    if FLAGS.support is None:
        config = config_from_flags(FLAGS)
        source = build_source(config, FLAGS.data_path, str(cache_folder(FLAGS)))
        if isinstance(source, Sinusoid | Polynomial):
            raise UsageError(
                f"--predict needs --support and --query, or --datasource="
                f"{' or '.join(IMAGE_SOURCES)}, got {config.datasource!r}"
            )
        support, names, x, truth = held_out_task(
            source, config.seed, shot=config.update_batch_size, query=config.query_batch_size
        )
        predictions = predict(model, support, names, x, truth)
    else:
        support = read_support(FLAGS.support, model_input)
        predictions = predict(model, support, *read_queries(FLAGS.query, model_input))
    print(predictions.to_json() if FLAGS.json else predictions.to_table())
    plot_contact_sheet(Path(FLAGS.picture), predictions)
    print(f"wrote {FLAGS.picture}", file=sys.stderr)


def _learner(config: Config, source: TaskSource, settings: EvaluationSettings) -> MetaLearner:
    return build_learner(
        config,
        source,
        recompute=FLAGS.recompute,
        update_lr=settings.update_lr,
        evaluation_updates=settings.num_steps,
        evaluation_mask=settings.mask,
    )


def _export(learner: MetaLearner, source: TaskSource, config: Config, folder: str) -> None:
    export_trained(learner, source, config, Path(folder))
    print(f"exported to {folder}; checked against the model in memory")


def main(argv: list[str]) -> int:
    """Run the program; return its exit code."""
    tf.get_logger().setLevel("ERROR")  # what it warns of is ours to say, in one line
    try:
        parse(argv)
        if FLAGS.predict:
            classify()
            return 0
        config = config_from_flags(FLAGS)
        settings = evaluation_settings(FLAGS, config)
        source = build_source(config, FLAGS.data_path, str(cache_folder(FLAGS)))
        run = Run.named_by(config, FLAGS.logdir)
        if FLAGS.train:
            train_and_evaluate(run, source, settings)
        else:
            evaluate(run, source, settings)
    except TrainingInterrupted as stop:
        print(f"{stop}: the same command goes on from there", file=sys.stderr)
        return 128 + stop.signal_number
    except (UsageError, DataError, ExportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (OSError, tf.errors.ResourceExhaustedError) as error:  # a full disk, for example
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; nothing but the last checkpoint is saved", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    define(FLAGS)
    app.define_help_flags()
    sys.exit(main(sys.argv))
