"""The original MAML program's oracle and its pretrained network."""

from pathlib import Path

from experiments.experiment import Experiment
from experiments.record import STORED_STEPS
from experiments.regression.estimate import estimate
from experiments.regression.plan import ALPHA, SHOTS, Plan
from experiments.runs import Folders, finish
from experiments.tables import made_with, markdown

BASELINES = ("oracle", "pretraining")


def baselines(plan: Plan, folders: Folders, output: Path) -> str:
    """Their losses after some steps of fine-tuning."""
    records = {
        name: [finish(baseline(plan, name, seed), folders) for seed in range(plan.seeds)]
        for name in BASELINES
    }
    rows = [
        [
            name,
            str(shot),
            *(str(estimate([n.after(steps, shot) for n in networks])) for steps in STORED_STEPS),
        ]
        for name, networks in records.items()
        for shot in SHOTS
    ]
    steps = (f"{n} step{'' if n == 1 else 's'}" for n in STORED_STEPS)
    return "\n\n".join(
        [
            "## Baselines of the original MAML program",
            "The oracle is given amplitude, frequency and phase beside x; pretraining fits all "
            "tasks at once and is then fine-tuned. Both minimize the loss before adaptation and "
            f"take inner steps of {ALPHA:g} when evaluated. {plan.seeds} seeds.",
            markdown(["network", "K", *steps], rows),
            made_with(record for networks in records.values() for record in networks),
        ]
    )


def baseline(plan: Plan, name: str, seed: int) -> Experiment:
    """The run of one of `BASELINES`."""
    flags = {
        "oracle": ("--baseline=oracle", f"--metatrain_iterations={plan.iterations}"),
        "pretraining": (f"--pretrain_iterations={plan.iterations}", "--metatrain_iterations=0"),
    }[name]
    return Experiment(f"sinusoid-{name}-seed{seed}", (*flags, f"--seed={seed}"), SHOTS)
