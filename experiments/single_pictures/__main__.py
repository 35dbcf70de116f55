"""One model for single pictures and any number of classes, measured.

python -m experiments.single_pictures --run=FOLDER --data_path=DIR
python -m experiments.single_pictures --run=FOLDER --data_path=DIR --only=ways
python -m experiments.single_pictures --run=FOLDER --data_path=DIR --only=other --other_path=FILE

Measures a run of `main.py --queries=alone` on held-out classes, which need not be trained to its
end: its last checkpoint is taken. Writes every task's mean and a page of tables into --output, and
the model into --pretrained. Stopped at any moment, the same command goes on where it was.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import utils.tensorflow_environment  # noqa: F401

from absl import flags

from experiments import command
from experiments.single_pictures.measuring import do
from experiments.single_pictures.pictures import Data
from experiments.single_pictures.plan import PARTS, Plan
from utils.command.help_flags import define_help
from utils.command.paths import define_path
from utils.errors import UsageError

if __name__ == "__main__":
    command.define("single_pictures", PARTS)
    command.define_images()
    define_path("run", None, "folder of the run to measure")
    define_path("other_path", None, "data of the other kind: photographs for a model of drawings")
    flags.DEFINE_integer(
        "num_tasks", 600, "held-out tasks of each kind", lower_bound=2, upper_bound=1_000_000
    )
    define_help()

    def main(parts: Sequence[str]) -> None:
        """Measure these parts."""
        values = command.FLAGS
        if values.run is None:
            raise UsageError("--run must name the folder of a run of main.py --queries=alone")
        data = Data(values.data_path, values.cache_dir, values.other_path)
        output, pretrained = Path(values.output), Path(values.pretrained)
        do(parts, Path(values.run), Plan(values.num_tasks), data, output, pretrained)

    sys.exit(command.main(sys.argv, PARTS, main))
