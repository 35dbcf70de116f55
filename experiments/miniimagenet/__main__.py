"""miniImagenet to the end: the lower half of the paper's Table 3, 5-way 1-shot.

python -m experiments.miniimagenet --data_path=miniimagenet.zip --workdir=logs
python -m experiments.miniimagenet --data_path=miniimagenet.zip --workdir=logs --iterations=20000

MT-net and MAML after equally many iterations of the paper's recipe, T-net where its run is in
--workdir, and two baselines on features trained on all training classes, all on the same 4,000
tasks. A run of `main.py --datasource=miniimagenet --logdir=logs` (--use_T --use_M) is taken from
there and trained on as far as it is not; of a longer one the checkpoint of that iteration is taken.
It must not be trained meanwhile: to measure a run that goes on, copy its folder. With
--other_path=caltech101_84.zip the networks are measured on those photographs, too, beside the
results of `experiments.photographs`.

Writes every task's accuracy and a page of tables into --output, and the SavedModels into
--pretrained if one is named. Stopped at any moment, the same command goes on where it was.
"""

import sys
from collections.abc import Sequence

import utils.tensorflow_environment  # noqa: F401

from absl import flags

from experiments import command
from experiments.miniimagenet.measuring import do
from experiments.miniimagenet.plan import ITERATIONS, PARTS, table
from utils.command.help_flags import define_help
from utils.command.paths import define_path
from utils.command.ranges import LARGEST_INTEGER

if __name__ == "__main__":
    command.define("miniimagenet", PARTS)
    command.define_images(pretrained=None)
    define_path("other_path", None, "photographs of other classes, to measure the networks on, too")
    flags.DEFINE_integer(
        "iterations",
        ITERATIONS,
        "after which the runs are compared",
        lower_bound=1,
        upper_bound=LARGEST_INTEGER,
    )
    define_help()

    def main(parts: Sequence[str]) -> None:
        """Finish these parts."""
        values = command.FLAGS
        folders = command.image_folders("miniimagenet-")
        do(parts, table(values.iterations), folders, values.other_path)

    sys.exit(command.main(sys.argv, PARTS, main))
