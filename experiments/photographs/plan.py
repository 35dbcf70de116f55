"""What the table of photographs is made of."""

from experiments.baselines.plan import BaselinesPlan
from experiments.table3 import BASELINES_PART, Table3, meta_learners

ITERATIONS, TEST_TASKS = 5000, 600
SHOTS = (1, 5)
EXPERIMENTS = meta_learners(
    (
        "--datasource=miniimagenet",
        f"--metatrain_iterations={ITERATIONS}",
        f"--num_test_tasks={TEST_TASKS}",
    ),
    SHOTS,
)
TABLE = Table3(EXPERIMENTS, BaselinesPlan(EXPERIMENTS["maml-1shot"].config, SHOTS, TEST_TASKS))
PARTS = (BASELINES_PART, *EXPERIMENTS)
