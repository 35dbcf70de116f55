"""Omniglot to the end, as in the paper's Table 3: training, evaluation, the models themselves.

python -m experiments.omniglot --data_path=DIR                     every run, in order
python -m experiments.omniglot --data_path=DIR --only=mtnet-5way   one of them

Writes configuration, learning curve and every task's accuracy into --output and the SavedModel
into --pretrained. Stopped at any moment, the same command goes on where it was.
"""

import shutil
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import utils.tensorflow_environment  # noqa: F401

from absl import app

from experiments import classification_command
from experiments.classification_runs import (
    Folders,
    as_trained,
    cell,
    differences,
    finish,
    finished,
    made_with,
    plot_curves,
    steps_table,
)
from experiments.experiment import Experiment
from system.atomic_file import atomic_write
from utils.reports.paper import paper_figure

OMNIGLOT = "--datasource=omniglot"
MT_NET = ("--use_T", "--use_M")
EXPERIMENTS = {
    name: Experiment(name, (OMNIGLOT, *flags), shots=(1,))
    for name, flags in {
        "mtnet-5way": MT_NET,
        "mtnet-20way": ("--num_classes=20", *MT_NET),
        "maml-5way": (),
        "maml-20way": ("--num_classes=20",),
        "tnet-5way": ("--use_T",),
        "mtnet-5way-best": ("--recipe=best", *MT_NET),
        "mtnet-20way-best": ("--recipe=best", "--num_classes=20", *MT_NET),
        "maml-5way-best": ("--recipe=best",),
        "maml-20way-best": ("--recipe=best", "--num_classes=20"),
    }.items()
}

BEST = "-best"
# Runs that differ in the method alone, or in the recipe alone.
PAIRS = [
    *((f"mtnet-{way}", f"maml-{way}") for way in ("5way", "20way", "5way-best", "20way-best")),
    ("mtnet-5way", "tnet-5way"),
    *((f"{name}{BEST}", name) for name in EXPERIMENTS if f"{name}{BEST}" in EXPERIMENTS),
]


def do(experiment: Experiment, folders: Folders) -> None:
    """Finish an experiment, if it is not."""
    if not finished([experiment], folders.output):
        if experiment.name.endswith(BEST):
            begin_with_the_papers(experiment, folders.workdir)
        finish(experiment, folders, export_as=f"omniglot-{experiment.name}")


def begin_with_the_papers(experiment: Experiment, workdir: Path) -> None:
    """Let a run of the best recipe go on from the paper's, as which it begins, if that is there."""
    begun, own = workdir / experiment.name.removesuffix(BEST), workdir / experiment.name
    if begun.exists() and not own.exists():
        copy = workdir / f"{experiment.name}.copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(begun, copy)
        copy.rename(own)


def write_readme(experiments: Iterable[Experiment], output: Path) -> None:
    """Write README.md and curves.png of what is finished."""
    documents = finished(experiments, output)
    lines = [
        "# Omniglot, 1-shot: the paper's Table 3",
        "",
        "Written by `python -m experiments.omniglot --data_path=DIR`; nothing here is typed by",
        "hand. Accuracy in % on 600 tasks, with the 95 % interval 1.96 * std / sqrt(tasks), after",
        "the inner steps of training; `NAME.json` has every task's accuracy after 0 to 10 steps,",
        "`NAME-curve.csv` the learning curve. The weights are those of the last iteration; nothing",
        "was chosen by the test split.",
        "",
        "| run | test, mask drawn | test, mask at its mode | validation, mask drawn | paper |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for experiment, document in documents.items():
        config = experiment.config
        cells = [
            cell(document, split, mask, config.num_updates)
            for split, mask in (("test", "sample"), ("test", "mode"), ("val", "sample"))
        ]
        name = f"{config.method} {config.num_classes}-way"
        if experiment.name.endswith(BEST):
            name += ", `--recipe=best`"
        lines.append(f"| {name} | {' | '.join(cells)} | {paper_figure(config, 1) or ''} |")
    lines += [
        "",
        "Test accuracy after every number of inner steps (mask drawn; training's number in bold):",
        "",
        *steps_table(documents),
        "",
        *differences(as_trained(documents), PAIRS),
        "![learning curves](curves.png)",
        "",
        *made_with(documents),
    ]
    with atomic_write(output / "README.md") as file:
        file.write(("\n".join(lines) + "\n").encode())
    plot_curves(documents, output, lowest=70)


JOBS = {name: partial(do, experiment) for name, experiment in EXPERIMENTS.items()}

if __name__ == "__main__":
    classification_command.define("omniglot", JOBS)
    app.define_help_flags()
    readme = partial(write_readme, EXPERIMENTS.values())
    sys.exit(classification_command.main(sys.argv, JOBS, readme))
