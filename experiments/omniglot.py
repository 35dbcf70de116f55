"""Omniglot to the end, as in the paper's Table 3: training, evaluation, the models themselves.

python -m experiments.omniglot --data_path=DIR                     every run, in order
python -m experiments.omniglot --data_path=DIR --only=mtnet-5way   one of them

Hours of training: stopped at any moment, the same command goes on where it was. What is finished is
written at once: into --output configuration, learning curve and every task's accuracy, into
--pretrained the SavedModel.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags
from tensorflow import keras

from data_generators import DataError
from experiments.omniglot_results import finish, is_finished, write_readme
from experiments.regression_runs import Experiment
from utils.errors import TrainingInterrupted, UsageError
from utils.flags import parse

FLAGS = flags.FLAGS
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
    }.items()
}


def define() -> None:
    """Define the program's flags."""
    flags.DEFINE_string("data_path", None, "folder of Omniglot's archives")
    flags.DEFINE_string("cache_dir", "logs/cache", "for the resized drawings")
    flags.DEFINE_string("output", "results/omniglot", "folder of the results")
    flags.DEFINE_string("pretrained", "pretrained", "folder of the SavedModels")
    flags.DEFINE_string("workdir", "logs/omniglot", "folder of the runs and their checkpoints")
    flags.DEFINE_list("only", list(EXPERIMENTS), f"some of {','.join(EXPERIMENTS)}")


def main(argv: Sequence[str]) -> int:
    """Run the program; return its exit code."""
    try:
        parse(argv)
        for name in FLAGS.only:
            if name not in EXPERIMENTS:
                raise UsageError(f"--only must be some of {','.join(EXPERIMENTS)}, got {name!r}")
        output = Path(FLAGS.output)
        for name in FLAGS.only:
            if not is_finished(EXPERIMENTS[name], output):
                finish(
                    EXPERIMENTS[name],
                    data_path=FLAGS.data_path,
                    cache_dir=FLAGS.cache_dir,
                    workdir=Path(FLAGS.workdir),
                    output=output,
                    pretrained=Path(FLAGS.pretrained) / f"omniglot-{name}",
                )
                keras.backend.clear_session()
            write_readme(EXPERIMENTS.values(), output)
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
