"""Meta-train, evaluate and export MAML, Meta-SGD, T-nets and MT-nets.

python main.py --use_T --use_M                                  the paper's sinusoid MT-net
python main.py --datasource=omniglot --use_T --use_M            5-way 1-shot Omniglot
python main.py --notrain --run=FOLDER --test_set                evaluate a run
python main.py --predict --model=RUN --support=DIR --query=DIR  classify your own images
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import utils.tensorflow_environment  # noqa: F401

from absl import flags

from data_generators import ImageInput, TaskSource
from experiments.paper import paper_figure
from maml_tnet import MetaLearner
from maml_tnet.replacing import not_replaceable
from utils.command.configuration import Config
from utils.command.evaluation_flags import (
    chosen_checkpoint,
    contradictions,
    evaluation_settings,
    run_to_evaluate,
)
from utils.command.evaluation_settings import EvaluationSettings
from utils.command.exit_code import exit_code
from utils.command.flags import (
    cache_folder,
    check_purpose,
    config_from_flags,
    define,
    parse,
    without_effect,
)
from utils.command.help_flags import define_help
from utils.command.memory_needs import check_memory
from utils.command.paths import check_writable, export_folder
from utils.command.prediction_flags import check_learned_flags, check_prediction_flags
from utils.errors import UsageError
from utils.prediction.adapted import adapted_folder, learned_classes, save_adapted
from utils.prediction.exporting import export_trained
from utils.prediction.model_input import input_of
from utils.prediction.predictions import Predictions
from utils.prediction.saved_model import find_model, predict, predict_learned
from utils.prediction.tasks import (
    Queries,
    SupportSet,
    held_out_task,
    read_queries,
    read_support,
)
from utils.reports.contact_sheet import plot_contact_sheet
from utils.reports.evaluation import evaluate_run
from utils.runs.assembly import build_learner, build_source
from utils.runs.checkpoints import Checkpoints
from utils.runs.folder import Run
from utils.runs.replicas import Replicas, started
from utils.runs.training import train
from utils.runs.used_data import UsedData, used_data

FLAGS = flags.FLAGS


def main(argv: Sequence[str]) -> int:
    """Run the program; return its exit code."""
    return exit_code(lambda: do_what_is_asked(argv))


def do_what_is_asked(argv: Sequence[str]) -> None:
    """Train, evaluate or predict, as the flags say."""
    parse(argv)
    check_purpose(FLAGS)
    if FLAGS.predict:
        predict_images()
    elif FLAGS.train:
        train_run()
    else:
        evaluate_checkpoint()


def train_run() -> None:
    """Train to the end, measure the held-out test tasks, export."""
    config = config_from_flags(FLAGS)
    _say_what_has_no_effect(config)
    settings = replace(evaluation_settings(FLAGS, config), split="test")
    check_memory(config)
    check_memory(config, settings)
    run = Run.named_by(config, FLAGS.logdir)
    target = run.folder / "saved_model"
    if FLAGS.export_dir:
        target = export_folder(FLAGS.export_dir)
        run.check_other_folder(target, f"--export_dir={FLAGS.export_dir}")
    elif FLAGS.resume and (problem := not_replaceable(target)):
        raise UsageError(f"{target} {problem}: move it away, or name another by --export_dir")
    elif FLAGS.resume and target.is_symlink():
        check_writable(Path(os.path.realpath(target)), str(target))
    cache_dir = str(cache_folder(FLAGS))
    with started(FLAGS.distribute, FLAGS.peer_timeout) as replicas:
        replicas.check_same("flags", config.to_dict() | asdict(settings))
        replicas.check_shares(config.meta_batch_size)
        source = build_source(config, FLAGS.data_path, cache_dir)
        source.check(settings.split, shot=settings.shot, query=settings.query)
        data = used_data(source, FLAGS.data_path, cache_dir)
        _check_same_data(replicas, data)
        learner = _learner(config, source, settings, replicas)
        run = replicas.own_run(run)
        run.start(resume=FLAGS.resume, data=data)
        log = FLAGS.log and replicas.is_chief
        iteration = train(run, learner, source, log=log, replicas=replicas)
        evaluate_run(run, learner, source, settings, iteration=iteration, published=paper_figure)
        if replicas.is_chief:
            export(learner, source, config, target)


def evaluate_checkpoint() -> None:
    """Measure a checkpoint of a trained run on held-out tasks; export it if asked to."""
    run = Run.opened(run_to_evaluate(FLAGS))
    run.check_folders()
    run.check_evaluation_can_be_kept()
    if differences := contradictions(FLAGS, run.config):
        raise UsageError(
            f"{run.folder} belongs to a run with other settings: {'; '.join(differences)}; leave "
            "those flags out to evaluate it, or name another run by --run or --logdir"
        )
    _say_what_has_no_effect(run.config)
    settings = evaluation_settings(FLAGS, run.config)
    chosen = chosen_checkpoint(FLAGS)
    check_memory(run.config, settings)
    target = export_folder(FLAGS.export_dir) if FLAGS.export_dir else None
    data_path, cache_dir = _where_the_data_is(run)
    with started(FLAGS.distribute, FLAGS.peer_timeout) as replicas:
        replicas.check_same("flags", run.config.to_dict() | asdict(settings) | {"of": chosen})
        source = build_source(run.config, data_path, cache_dir)
        data = used_data(source, data_path, cache_dir)
        _check_same_data(replicas, data)
        if replicas.is_chief:
            run.check_data(data)
        learner = _learner(run.config, source, settings, replicas)
        checkpoint, iteration = Checkpoints(run, learner).restore(chosen)
        print(f"evaluating {run.folder} after {iteration} iterations")
        evaluate_run(
            replicas.own_run(run),
            learner,
            source,
            settings,
            iteration=iteration,
            checkpoint=checkpoint,
            published=paper_figure,
        )
        if target and replicas.is_chief:
            export(learner, source, run.config, target)


def predict_images() -> None:
    """Learn a support set with a trained model; print and draw what it says of other images."""
    check_prediction_flags(FLAGS)
    model = find_model(FLAGS.model)
    classes, image_input = learned_classes(model), input_of(model)
    check_learned_flags(classes, FLAGS)
    if classes is not None:
        show(predict_learned(model, classes, read_queries(FLAGS.query, image_input)), None)
        return
    target = adapted_folder(FLAGS.save_adapted) if FLAGS.save_adapted else None
    support, queries = _task(image_input)
    if target is not None:
        save_adapted(model, support, image_input, target)
        print(f"wrote {FLAGS.save_adapted}", file=sys.stderr)
    if queries is not None:
        show(predict(model, support, queries), support)


def show(predictions: Predictions, support: SupportSet | None) -> None:
    """Print predictions, and draw them."""
    print(predictions.to_json() if FLAGS.json else predictions.to_table())
    if FLAGS.picture:
        plot_contact_sheet(Path(FLAGS.picture), support, predictions)
        print(f"wrote {FLAGS.picture}", file=sys.stderr)


def export(learner: MetaLearner, source: TaskSource, config: Config, folder: Path) -> None:
    """Write the SavedModel."""
    export_trained(learner, source, config, folder, num_updates=FLAGS.test_num_updates)
    print(f"exported to {folder}; checked against the model in memory")


def _task(image_input: ImageInput) -> tuple[SupportSet, Queries | None]:
    """The user's classes and the images to classify, if any, or a task of the test split."""
    if FLAGS.support is not None:
        support = read_support(FLAGS.support, image_input)
        return support, read_queries(FLAGS.query, image_input) if FLAGS.query else None
    config = config_from_flags(FLAGS)
    source = build_source(config, FLAGS.data_path, str(cache_folder(FLAGS)))
    return held_out_task(source, config, image_input)


def _say_what_has_no_effect(config: Config) -> None:
    if names := without_effect(config):
        print(f"given, but without effect here: {', '.join(names)}", file=sys.stderr)


def _where_the_data_is(run: Run) -> tuple[str | None, str]:
    """The paths of a trained run's data and its cache: the flags', or those it was trained with."""
    noted = run.noted_data()
    data_path, cache_dir = FLAGS.data_path, FLAGS.cache_dir
    if noted is not None:
        data_path = noted.data_path if data_path is None else data_path
        cache_dir = noted.cache_dir if cache_dir is None else cache_dir
    return data_path, str(cache_folder(FLAGS)) if cache_dir is None else cache_dir


def _learner(
    config: Config, source: TaskSource, settings: EvaluationSettings, replicas: Replicas
) -> MetaLearner:
    with replicas.scope():
        return build_learner(
            config,
            source,
            update_lr=settings.update_lr,
            evaluation_updates=settings.num_steps,
            evaluation_mask=settings.mask,
        )


def _check_same_data(replicas: Replicas, data: UsedData | None) -> None:
    fingerprint = None if data is None else data.record.fingerprint
    replicas.check_same("data", {"the fingerprint of --data_path's images": fingerprint})


if __name__ == "__main__":
    define(FLAGS)
    define_help()
    sys.exit(main(sys.argv))
