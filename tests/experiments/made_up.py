"""Records of made-up values, to test what is made of records."""

import numpy as np

from experiments.record import STORED_STEPS, Measured, Record

VERSIONS = dict.fromkeys(
    ("python", "tensorflow", "keras", "numpy", "git_commit", "machine"), "version-x"
)


def record(experiment, values, *, mask_logits=None, diverged_at=None, steps=STORED_STEPS):
    """A record of a finished experiment.

    Args:
        experiment: of it.
        values: settings -> [tasks, steps].
        mask_logits: layer -> zeta; of one layer where there are masks and none is given.
        diverged_at: iteration, if it did.
        steps: numbers of inner steps.
    """
    return Record(
        experiment=experiment,
        iterations=experiment.config.total_iterations if diverged_at is None else 55000,
        diverged_at=diverged_at,
        mask_logits=mask_logits or ({"dense1": np.zeros(1)} if experiment.config.use_M else {}),
        measured=[Measured(s, tuple(steps), values(s)) for s in experiment.evaluations],
        trained_with=VERSIONS,
        measured_with=VERSIONS,
    )


def losses_of_mean(mean, tasks=600):
    """[tasks, steps] that have this mean exactly after any number of steps."""
    spread = np.linspace(-0.5, 0.5, tasks)[:, np.newaxis] * mean
    return mean + spread * np.ones(len(STORED_STEPS))
