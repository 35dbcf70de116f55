"""What the table of miniImagenet is made of."""

from dataclasses import replace

from experiments.baselines.plan import BaselinesPlan
from experiments.experiment import Experiment
from experiments.photographs.plan import SHOTS as OTHER_SHOTS
from experiments.photographs.plan import TEST_TASKS as OTHER_TASKS
from experiments.table3 import BASELINES_PART, Table3, meta_learners

ITERATIONS = 60_000  # of the paper
SHOTS = (1,)
TEST_TASKS = 4000  # of the MT-net code
FIRST_TASKS = 600  # as many as MAML's paper has
TASKS_FLAG = "--num_test_tasks="
EPOCHS = 20  # of the baselines' features, of 38,400 images each
# What --only chooses from beside the table's: the same networks on other photographs.
OTHER_PART = "other"


def table(iterations: int) -> Table3:
    """The table of runs with so many iterations.

    Their folders have the names that `main.py` gives them.
    """
    common = (
        "--datasource=miniimagenet",
        f"--metatrain_iterations={iterations}",
        f"{TASKS_FLAG}{TEST_TASKS}",
    )
    experiments = {
        name: replace(experiment, run=experiment.config.run_name)
        for name, experiment in meta_learners(common, SHOTS).items()
    }
    config = experiments["maml-1shot"].config
    return Table3(experiments, BaselinesPlan(config, SHOTS, TEST_TASKS, epochs=EPOCHS))


PARTS = (*table(ITERATIONS).experiments, BASELINES_PART, OTHER_PART)


def on_other_photographs(experiment: Experiment) -> Experiment:
    """The same run, measured as those of `experiments.photographs` are, with masks at their mode.

    As models below pretrained/ have them.
    """
    flags = [flag for flag in experiment.flags if not flag.startswith(TASKS_FLAG)]
    return replace(
        experiment,
        flags=(*flags, f"{TASKS_FLAG}{OTHER_TASKS}"),
        shots=OTHER_SHOTS,
        masks=("mode" if experiment.config.use_M else "sample",),
    )
