"""Meta-train, evaluate and export MAML, Meta-SGD, T-nets and MT-nets.

python main.py --use_T --use_M                                  the paper's sinusoid MT-net
python main.py --datasource=omniglot --use_T --use_M            5-way 1-shot Omniglot
python main.py --datasource=omniglot --use_T --use_M --notrain --test_set
python main.py --predict --model=RUN --support=DIR --query=DIR  classify your own images
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import utils.tensorflow_environment  # noqa: F401

from absl import app, flags

from data_generators import TaskSource
from experiments.paper import paper_figure
from maml_tnet import MetaLearner
from utils.command.configuration import Config
from utils.command.evaluation_settings import EvaluationSettings
from utils.command.exit_code import exit_code
from utils.command.flags import (
    cache_folder,
    check_prediction_flags,
    chosen_checkpoint,
    config_from_flags,
    define,
    evaluation_settings,
    parse,
)
from utils.prediction.exporting import export_trained
from utils.prediction.model_input import input_of
from utils.prediction.saved_model import find_model, predict
from utils.prediction.tasks import held_out_task, read_task
from utils.reports.contact_sheet import plot_contact_sheet
from utils.reports.evaluation import evaluate_run
from utils.runs.assembly import build_learner, build_source
from utils.runs.checkpoints import Checkpoints
from utils.runs.folder import Run
from utils.runs.training import train

FLAGS = flags.FLAGS


def main(argv: Sequence[str]) -> int:
    """Run the program; return its exit code."""
    return exit_code(lambda: do_what_is_asked(argv))


def do_what_is_asked(argv: Sequence[str]) -> None:
    """Train, evaluate or predict, as the flags say."""
    parse(argv)
    if FLAGS.predict:
        predict_images()
        return
    config = config_from_flags(FLAGS)
    settings = evaluation_settings(FLAGS, config)
    source = _source(config)
    run = Run.named_by(config, FLAGS.logdir)
    if FLAGS.train:
        train_run(run, source, replace(settings, split="test"))
    else:
        evaluate_checkpoint(run, source, settings)


def train_run(run: Run, source: TaskSource, settings: EvaluationSettings) -> None:
    """Train to the end, measure the held-out test tasks, export."""
    learner = _learner(run.config, source, settings)
    run.start(resume=FLAGS.resume)
    iteration = train(run, learner, source, log=FLAGS.log)
    evaluate_run(run, learner, source, settings, iteration=iteration, published=paper_figure)
    export(learner, source, run.config, FLAGS.export_dir or str(run.folder / "saved_model"))


def evaluate_checkpoint(run: Run, source: TaskSource, settings: EvaluationSettings) -> None:
    """Measure a checkpoint on held-out tasks; export it if asked to."""
    run.check_config()
    chosen = chosen_checkpoint(FLAGS)
    learner = _learner(run.config, source, settings)
    checkpoint, iteration = Checkpoints(run, learner).restore(chosen)
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
        export(learner, source, run.config, FLAGS.export_dir)


def predict_images() -> None:
    """Learn a support set with a trained model; print and draw what it says of other images."""
    check_prediction_flags(FLAGS)
    model = find_model(FLAGS.model)
    image_input = input_of(model)
    if FLAGS.support is None:
        config = config_from_flags(FLAGS)
        task = held_out_task(_source(config), config)
    else:
        task = read_task(FLAGS.support, FLAGS.query, image_input)
    predictions = predict(model, task)
    print(predictions.to_json() if FLAGS.json else predictions.to_table())
    plot_contact_sheet(Path(FLAGS.picture), predictions)
    print(f"wrote {FLAGS.picture}", file=sys.stderr)


def export(learner: MetaLearner, source: TaskSource, config: Config, folder: str) -> None:
    """Write the SavedModel."""
    export_trained(learner, source, config, Path(folder))
    print(f"exported to {folder}; checked against the model in memory")


def _source(config: Config) -> TaskSource:
    return build_source(config, FLAGS.data_path, str(cache_folder(FLAGS)))


def _learner(config: Config, source: TaskSource, settings: EvaluationSettings) -> MetaLearner:
    return build_learner(
        config,
        source,
        update_lr=settings.update_lr,
        evaluation_updates=settings.num_steps,
        evaluation_mask=settings.mask,
    )


if __name__ == "__main__":
    define(FLAGS)
    app.define_help_flags()
    sys.exit(main(sys.argv))
