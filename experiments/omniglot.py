"""Omniglot to the end, as in the paper's Table 3: training, evaluation, the models themselves.

python -m experiments.omniglot --data_path=DIR                     every run, in order
python -m experiments.omniglot --data_path=DIR --only=mtnet-5way   one of them

Writes configuration, learning curve and every task's accuracy into --output and the SavedModel
into --pretrained. Stopped at any moment, the same command goes on where it was. Where there is a
SavedModel of a run, but no run, its weights are measured, on the data that they were learned on; to
train again, name another --pretrained.
"""

import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import utils.tensorflow_environment  # noqa: F401

from experiments import command
from experiments.experiment import Experiment
from experiments.image_tables import (
    as_trained,
    cell,
    commands,
    differences,
    plot_curves,
    steps_table,
)
from experiments.paper import paper_figure
from experiments.record import Record, read_record, read_records
from experiments.runs import Folders, finish
from experiments.tables import markdown
from system.atomic_file import write_text
from system.lock import hold, let_go
from utils.command.help_flags import define_help
from utils.errors import UsageError
from utils.runs.folder import LOCK

OMNIGLOT = "--datasource=omniglot"
MT_NET = ("--use_T", "--use_M")
EXPERIMENTS = {
    name: Experiment(
        name, (OMNIGLOT, *flags), shots=(1,), splits=("val", "test"), masks=("sample", "mode")
    )
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


PAGE = """# Omniglot, 1-shot: the paper's Table 3

Written by `python -m experiments.omniglot --data_path=DIR`; nothing here is typed by hand.
Accuracy in % on 600 tasks, with the 95 % interval over them (of the one network that was trained),
after the inner steps of training; `NAME.json` has every task's accuracy after 0 to 10 steps,
`NAME-curve.csv` the learning curve. The weights are those of the last iteration; nothing was
chosen by the test split.

{table}

Test accuracy after every number of inner steps (mask drawn; training's number in bold):

{steps}

{differences}

![learning curves](curves.png)

{commands}
"""


def do(experiments: Iterable[Experiment], folders: Folders) -> None:
    """Finish experiments and write README.md after each."""
    for experiment in experiments:
        if experiment.name.endswith(BEST) and not read_record(experiment, folders.records):
            begin_with_the_papers(experiment, folders.workdir)
        finish(experiment, folders)
        write_readme(EXPERIMENTS.values(), folders.records)
        print("wrote", folders.records / "README.md")


def begin_with_the_papers(experiment: Experiment, workdir: Path) -> None:
    """Let a run of the best recipe go on from the paper's, as which it begins, if that is there."""
    begun, own = workdir / experiment.name.removesuffix(BEST), workdir / experiment.name
    if begun.exists() and not own.exists():
        if not hold(begun / LOCK):
            raise UsageError(f"{begun} is being trained by another process: wait for its end")
        try:
            copy = workdir / f"{experiment.name}.copy"
            shutil.rmtree(copy, ignore_errors=True)
            # Of the lock no copy: a process that closes the file gives it up.
            shutil.copytree(begun, copy, ignore=shutil.ignore_patterns(LOCK))
            copy.rename(own)
        finally:
            let_go(begun / LOCK)


def write_readme(experiments: Iterable[Experiment], output: Path) -> None:
    """Write README.md and curves.png of what is finished."""
    records = read_records(experiments, output)
    write_text(
        output / "README.md",
        PAGE.format(
            table=markdown(
                [
                    "run",
                    "test, mask drawn",
                    "test, mask at its mode",
                    "validation, mask drawn",
                    "paper",
                ],
                map(_row, records.values()),
            ),
            steps=steps_table(records),
            differences=differences(as_trained(records), PAIRS),
            commands=commands(records),
        ),
    )
    plot_curves(records, output, lowest=70)


def _row(record: Record) -> list[str]:
    config = record.experiment.config
    name = f"{config.method} {config.num_classes}-way"
    if record.experiment.name.endswith(BEST):
        name += ", `--recipe=best`"
    cells = [cell(record, *which) for which in (("test",), ("test", "mode"), ("val",))]
    return [name, *cells, paper_figure(config, 1) or ""]


if __name__ == "__main__":
    command.define("omniglot", EXPERIMENTS)
    command.define_images()
    define_help()

    def main(names: Sequence[str]) -> None:
        """Finish the experiments of these names."""
        do([EXPERIMENTS[name] for name in names], command.image_folders("omniglot-"))

    sys.exit(command.main(sys.argv, EXPERIMENTS, main))
