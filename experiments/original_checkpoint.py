"""Evaluate, and export, what the original MAML or MT-net program trained.

python -m experiments.original_checkpoint --checkpoint=FILE --data_path=DIR

FILE is a TensorFlow 1 checkpoint of `cbfinn/maml` or `yoonholee/MT-net` (`model59000`; its files
are `model59000.index` and `model59000.data-00000-of-00001`). What kind of network it is, the way,
the filters, T and masks are seen from its variables (`original_variables`). What it does not say
are flags, by default the paper's recipe: --update_lr (alpha), --num_updates, --update_batch_size
(K), for Omniglot --max_pool, for regression --datasource=polynomial --poly_order=N. The name of the
original's folder says them: `cls_5.mbs_4.ubs_1.numstep5.updatelr0.01hidden32maxpoolbatchnorm` has
K = 1 (`ubs`), 5 inner steps and alpha = 0.01.

Prints the accuracy (regression: the squared error) on 600 held-out test tasks, K queries a class,
after 0 to 10 inner steps. --export_dir=FOLDER writes a SavedModel as well, which for images is a
--model of `main.py --predict`.

Not read, each with one line that says so: layer normalization (theirs has a scale), normalized or
oracle regression, fully connected networks for images.

Target: MAML's official weights for miniImagenet (5-way 1-shot), which are in `cbfinn/maml`,
47.4 +- 1.8 % after 5 inner steps; its paper says 48.70 +- 1.84 %.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace

import utils.tensorflow_environment  # noqa: F401

import tensorflow as tf
from absl import flags

from data_generators import DataError, Episode, Sinusoid, TaskSource
from experiments.experiment import Experiment
from experiments.original_variables import MINIIMAGENET, REGRESSION, OriginalNetwork, read_original
from experiments.paper import paper_figure
from utils.command.configuration import REGRESSION_SOURCES, Config
from utils.command.exit_code import exit_code
from utils.command.flags import parse
from utils.command.help_flags import define_help
from utils.command.memory_needs import check_memory
from utils.command.paths import define_path, export_folder
from utils.errors import UsageError
from utils.prediction.exporting import export_trained
from utils.reports.evaluation import measure, shots_to_evaluate
from utils.reports.tables import Column, format_table
from utils.runs.assembly import build_learner, build_source

# Flags of `main.py` that say what a checkpoint does not.
SAID_BY_FLAGS = (
    "poly_order",
    "update_batch_size",
    "update_lr",
    "num_updates",
    "max_pool",
    "mask",
    "num_test_tasks",
)


class OriginalSinusoid(Sinusoid):
    """Tasks y = A sin(w x - b), as the original programs draw them.

    They are those of equation (25) turned about the origin, (x, y) -> (-x, -y).
    """

    def held_out(self, split: str, numbers: tf.Tensor, **sizes: int) -> Episode:
        """Draw sinusoids; see `Sinusoid.held_out`."""
        return Episode(*(-part for part in super().held_out(split, numbers, **sizes)))


def define(flag_values: flags.FlagValues = flags.FLAGS) -> flags.FlagValues:
    """Define the flags on `flag_values`, and return it."""
    to = {"flag_values": flag_values}
    define_path("checkpoint", None, "TensorFlow 1 checkpoint of the original", **to)
    flags.DEFINE_string(
        "datasource",
        None,
        "regression: sinusoid (default) or polynomial; images: as the checkpoint says",
        **to,
    )
    define_path("data_path", None, "folder or archive of the images", **to)
    define_path("cache_dir", "logs/cache", "for the resized images", **to)
    flags.DEFINE_integer("poly_order", 1, "order of the polynomials", **to)
    flags.DEFINE_integer("update_batch_size", None, "K (default: recipe)", **to)
    flags.DEFINE_float("update_lr", None, "step size alpha (default: recipe)", **to)
    flags.DEFINE_integer("num_updates", None, "inner steps in training (default: recipe)", **to)
    flags.DEFINE_bool("max_pool", None, "max pooling, not strides (default: recipe)", **to)
    flags.DEFINE_enum("mask", "sample", ["sample", "mode"], "how M is had", **to)
    flags.DEFINE_integer("num_test_tasks", 600, "number of held-out tasks", **to)
    define_path("export_dir", None, "write a SavedModel there", **to)
    return flag_values


def flags_of_main(original: OriginalNetwork, given: flags.FlagValues) -> list[str]:
    """Return the flags with which `main.py` would have trained the network.

    Raises:
        UsageError: the data source or the pooling that was given is not the network's.
    """
    sources = REGRESSION_SOURCES if original.kind == REGRESSION else (original.kind,)
    datasource = given.datasource or sources[0]
    if datasource not in sources:
        raise UsageError(
            f"--datasource={datasource} is not what --checkpoint={given.checkpoint} was trained "
            f"on: give {' or '.join(sources)}"
        )
    if original.kind == MINIIMAGENET and given.max_pool is False:
        raise UsageError(
            f"--nomax_pool does not fit --checkpoint={given.checkpoint}: the original's network "
            "for miniImagenet has max pooling"
        )
    sizes = (
        [f"--dim_hidden={original.units}"]
        if original.kind == REGRESSION
        else [
            f"--num_classes={original.outputs}",
            f"--num_filters={original.units}",
            f"--norm={'batch_norm' if original.use_batch_norm else None}",
        ]
    )
    said = [
        f"--{name}={given[name].value}" for name in SAID_BY_FLAGS if given[name].value is not None
    ]
    return [
        f"--datasource={datasource}",
        *sizes,
        f"--use_T={original.use_transform}",
        f"--use_M={original.mask_per is not None}",
        f"--share_M={original.mask_per != 'weight'}",
        *said,
    ]


def source_for(original: OriginalNetwork, config: Config, given: flags.FlagValues) -> TaskSource:
    """Return the data source of the tasks that the network was trained for.

    Raises:
        UsageError: it has other inputs or outputs, too few classes, or is not there.
    """
    if config.datasource == "sinusoid":
        source: TaskSource = OriginalSinusoid()
    else:
        try:
            source = build_source(config, given.data_path, given.cache_dir)
        except DataError as error:
            raise UsageError(
                f"--checkpoint={given.checkpoint} is of a {config.num_classes}-way network for "
                f"{config.datasource}: {error}"
            ) from error
    expected = (source.input_shape[-1], source.output_size)
    if expected != (original.inputs, original.outputs):
        raise UsageError(
            f"--checkpoint={given.checkpoint} is of a network with {original.inputs} inputs and "
            f"{original.outputs} outputs; --datasource={config.datasource} has {expected[0]} and "
            f"{expected[1]}"
        )
    return source


def evaluate(original: OriginalNetwork, given: flags.FlagValues) -> None:
    """Print the table of the network on held-out tasks; export it if asked to."""
    experiment = Experiment("original", tuple(flags_of_main(original, given)))
    config = experiment.config
    settings = experiment.settings(config.update_batch_size, mask=given.mask)
    what = f"--checkpoint={given.checkpoint}"
    check_memory(config, settings, what=what, flag_names=given)
    folder = export_folder(given.export_dir) if given.export_dir else None
    source = source_for(original, config, given)
    learner = build_learner(
        config,
        source,
        evaluation_updates=settings.num_steps,
        evaluation_mask=settings.mask,
    )
    original.assign_to(learner.network)
    columns = [
        Column(
            label=f"{shot}-shot",
            summary=measure(config, learner, source, replace(settings, shot=shot)).summary,
            percent=config.is_classification,
            paper=paper_figure(config, shot),
        )
        for shot in shots_to_evaluate(config, settings.shot)
    ]
    print(f"{given.checkpoint}: {_description(config)}\n")
    print(format_table(columns, config.num_updates))
    if folder:
        export_trained(learner, source, config, folder)
        print(f"exported to {given.export_dir}; checked against the model in memory")


def _description(config: Config) -> str:
    what = "mean squared error"
    sizes = f"{config.dim_hidden} hidden units"
    if config.is_classification:
        what = "accuracy in %"
        sizes = f"{config.num_classes}-way, {config.num_filters} filters, norm: {config.norm}"
    return (
        f"{config.method} on {config.datasource}, {sizes}; {what}, alpha {config.update_lr:g}, "
        "test split"
    )


def main(argv: Sequence[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Run the program with the flags that `define` defined; return its exit code."""

    def work() -> None:
        parse(argv, given)
        if given.checkpoint is None:
            raise UsageError("--checkpoint must name a checkpoint of the original MAML or MT-net")
        evaluate(read_original(given.checkpoint), given)

    return exit_code(work)


if __name__ == "__main__":
    define()
    define_help()
    sys.exit(main(sys.argv))
