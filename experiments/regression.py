"""The paper's regression results: Table 1, Table 2, Figure 4 and what belongs to them.

python -m experiments.regression                    everything, about 20 minutes on 2 cores
python -m experiments.regression --only=table1      one part; parts share their runs

Stopped at any moment, the same command goes on where it was.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import utils.tensorflow_environment  # noqa: F401

from absl import app, flags

from data_generators import DataError
from experiments.regression_parts import PARTS, write_part
from experiments.regression_plan import Plan
from experiments.regression_readme import describe_machines, write_readme
from experiments.regression_runs import Runs
from utils.command.flags import parse
from utils.errors import TrainingInterrupted, UsageError

FLAGS = flags.FLAGS
ITERATIONS = 60_000
COUNTS = ("seeds", "figure4_seeds", "iterations")


def define() -> None:
    """Define the program's flags."""
    flags.DEFINE_string("output", "results/regression", "folder of the results")
    flags.DEFINE_string("workdir", "logs/regression", "folder of the runs and their checkpoints")
    flags.DEFINE_list("only", list(PARTS), f"some of {','.join(PARTS)}")
    flags.DEFINE_integer("seeds", 3, "number of seeds of the tables")
    flags.DEFINE_integer("figure4_seeds", 5, "number of seeds of Figure 4")
    flags.DEFINE_integer("iterations", ITERATIONS, "of every run, for a quick look")


def check_flags() -> None:
    """Raise a UsageError if a flag is out of range."""
    for part in FLAGS.only:
        if part not in PARTS:
            raise UsageError(f"--only must be some of {','.join(PARTS)}, got {part!r}")
    for name in COUNTS:
        if (value := getattr(FLAGS, name)) < 1:
            raise UsageError(f"--{name} must be at least 1, got {value}")


def canonical_command() -> str:
    """The command that makes these results; where they and the runs lie does not matter."""
    given = [
        f"--{name}={FLAGS[name].value}"
        for name in COUNTS
        if FLAGS[name].value != FLAGS[name].default
    ]
    return " ".join(["python -m experiments.regression", *given])


def main(argv: Sequence[str]) -> int:
    """Run the program; return its exit code."""
    try:
        parse(argv)
        check_flags()
        output = Path(FLAGS.output)
        plan = Plan(FLAGS.seeds, FLAGS.figure4_seeds, FLAGS.iterations)
        runs = Runs(output / "runs", Path(FLAGS.workdir))
        parts = [part for part in PARTS if part in FLAGS.only]
        runs.finish(experiment for part in parts for experiment in plan.of_part(part))
        for part in parts:
            write_part(part, plan, runs, output)
        finished = {e.name: e for part in PARTS for e in plan.of_part(part) if runs.has(e)}
        write_readme(
            output,
            list(PARTS),
            command=canonical_command(),
            iterations=plan.iterations,
            made_by=describe_machines(runs.result(e) for e in finished.values()),
        )
        print("wrote", output / "README.md")
    except TrainingInterrupted as stop:
        print(f"{stop}: the same command goes on from there", file=sys.stderr)
        return 128 + stop.signal_number
    except (UsageError, DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: --output={FLAGS.output}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    define()
    app.define_help_flags()
    sys.exit(main(sys.argv))
