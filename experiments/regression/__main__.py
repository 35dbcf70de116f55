"""The paper's regression results: Table 1, Table 2, Figure 4 and what belongs to them.

python -m experiments.regression                    everything
python -m experiments.regression --only=table1      one part; parts share their runs

Stopped at any moment, the same command goes on where it was.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import utils.tensorflow_environment  # noqa: F401

from absl import flags

from experiments import command
from experiments.regression.baselines import baselines
from experiments.regression.bounds import bounds
from experiments.regression.figure4 import figure4
from experiments.regression.fits import fits
from experiments.regression.metric import measured_metric
from experiments.regression.original_tasks import original_tasks
from experiments.regression.page import check_command, write_page
from experiments.regression.plan import Plan
from experiments.regression.table1 import table1
from experiments.regression.table2 import table2
from experiments.runs import Folders
from system.atomic_file import write_text
from utils.command.help_flags import define_help
from utils.command.ranges import LARGEST_INTEGER, check_range

FLAGS = flags.FLAGS
COUNTS = {"seeds": (1, 1000), "networks": (1, 1000), "iterations": (1, LARGEST_INTEGER)}
PARTS: dict[str, Callable[[Plan, Folders, Path], str]] = {
    "table1": table1,
    "original_tasks": original_tasks,
    "table2": table2,
    "figure4": figure4,
    "fits": fits,
    "baselines": baselines,
    "metric": measured_metric,
    "bounds": bounds,
}


def define(flag_values: flags.FlagValues = flags.FLAGS) -> flags.FlagValues:
    """Define the program's flags on `flag_values`, and return it."""
    command.define("regression", PARTS, flag_values)
    to = {"flag_values": flag_values}
    flags.DEFINE_integer("seeds", 3, "number of seeds of the tables", **to)
    flags.DEFINE_integer("networks", 20, "that learned more, of every order of Figure 4", **to)
    flags.DEFINE_integer("iterations", 60_000, "of every run, for a quick look", **to)
    return flag_values


def canonical_command() -> str:
    """The command that makes these results; where they and the runs lie does not matter."""
    given = [
        f"--{name}={FLAGS[name].value}"
        for name in COUNTS
        if FLAGS[name].value != FLAGS[name].default
    ]
    return " ".join(["python -m experiments.regression", *given])


def do(parts: Sequence[str]) -> None:
    """Write parts of the results, PART.md with its figures, and README.md."""
    for name, possible in COUNTS.items():
        check_range(name, FLAGS[name].value, possible)
    plan, output = Plan(FLAGS.seeds, FLAGS.networks, FLAGS.iterations), Path(FLAGS.output)
    check_command(output, list(PARTS), canonical_command())
    folders = Folders(records=output / "runs", workdir=Path(FLAGS.workdir))
    folders.records.mkdir(parents=True, exist_ok=True)  # before hours of training
    for part in parts:
        write_text(output / f"{part}.md", PARTS[part](plan, folders, output) + "\n")
        write_page(output, list(PARTS), command=canonical_command(), iterations=plan.iterations)
        print("wrote", output / f"{part}.md")


if __name__ == "__main__":
    define()
    define_help()
    sys.exit(command.main(sys.argv, PARTS, do))
