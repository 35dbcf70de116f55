"""miniImagenet's experiment on photographs that can be had: the paper's Table 3, lower half.

python -m experiments.photographs --data_path=caltech101_84.zip
python -m experiments.photographs --data_path=caltech101_84.zip --only=mtnet-1shot,baselines

Meta-learners at equal iterations, and two baselines on features trained on all training classes.
Writes results into --output and the meta-learners' SavedModels into --pretrained.
Stopped at any moment, the same command goes on where it was. Where there is a SavedModel of a run,
but no run, its weights are measured, on the data that they were learned on; to train again, name
another --pretrained.
"""

import sys
from collections.abc import Sequence

import utils.tensorflow_environment  # noqa: F401

from experiments import command
from experiments.photographs.measuring import do
from experiments.photographs.plan import PARTS
from utils.command.help_flags import define_help

if __name__ == "__main__":
    command.define("photographs", PARTS)
    command.define_images()
    define_help()

    def main(parts: Sequence[str]) -> None:
        """Finish these parts."""
        do(parts, command.image_folders("photographs-"))

    sys.exit(command.main(sys.argv, PARTS, main))
