"""The paper's form and the form for single pictures, after equally many iterations.

python -m experiments.forms --data_path=DIR                      every run, in order
python -m experiments.forms --data_path=DIR --only=mtnet-1shot   one method, in both forms

Trains 5-way Omniglot by MAML, Meta-SGD, T-nets and MT-nets in both forms and measures them on tasks
of the validation characters, each query alone and all together, after 0 to 5 inner steps. Writes
every task's accuracy into --output and a page of tables. Stopped at any moment, the same command
goes on where it was.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import utils.tensorflow_environment  # noqa: F401

import numpy as np
from tensorflow import keras

from experiments import command
from experiments.documents import (
    Document,
    numbers,
    parsed,
    read_document,
    rounded,
    write_document,
)
from experiments.experiment import Experiment
from experiments.runs import Folders, fingerprint, trained_run
from experiments.tables import markdown, percent
from system.atomic_file import write_text
from utils.command.help_flags import define_help
from utils.reports.evaluation import measure
from utils.runs.environment import environment

ITERATIONS, TASKS, STEPS = 500, 200, 5
COMMON = (
    "--datasource=omniglot",
    f"--metatrain_iterations={ITERATIONS}",
    "--meta_batch_size=8",
    "--update_lr=0.4",
    f"--num_test_tasks={TASKS}",
)
METHODS = {
    "maml": (),
    "meta-sgd": ("--meta_sgd",),
    "tnet": ("--use_T",),
    "mtnet": ("--use_T", "--use_M"),
}
FORMS = {"paper": (), "alone": ("--queries=alone",)}
PARTS = {f"{method}-{shot}shot": (method, shot) for shot in (1, 5) for method in METHODS}
# What the inner loop learns from the prototypes depends on its step size, too.
STEP_SIZES = {"alpha-0.05": "--update_lr=0.05", "alpha-0.1": "--update_lr=0.1"}
PARTS_OF_STEP_SIZES = {f"{name}-{shot}shot": (name, shot) for shot in (1, 5) for name in STEP_SIZES}
# What its files of all versions have.
KEYS = ("flags",)

PAGE = """# The paper's form and the form for single pictures

Written by `python -m experiments.forms --data_path=DIR`; nothing here is typed by hand. 5-way
Omniglot after {iterations} iterations of 8 tasks, alpha 0.4, as many queries a class as the shot,
one network of each. Accuracy in % on {tasks} tasks of the validation characters, with the 95 %
interval over them, masks at their mode. In the form for single pictures a query's answer does not
depend on the others, so that "alone" and "together" are one; after 0 inner steps it is the
prototypes' answer.

{table}
{step_sizes}"""

STEP_SIZES_PAGE = """
MT-nets in the form for single pictures, trained with another alpha:

{table}
"""


def experiment(name: str) -> Experiment:
    """The run of a name such as mtnet-1shot-alone or alpha-0.1-5shot-alone."""
    part, form = name.rsplit("-", 1)
    chosen, shot = (PARTS | PARTS_OF_STEP_SIZES)[part]
    own = METHODS.get(chosen) or ()
    if chosen in STEP_SIZES:
        own = (*METHODS["mtnet"], STEP_SIZES[chosen])
    return Experiment(name, (*COMMON, f"--update_batch_size={shot}", *own, *FORMS[form]))


def names(parts: Sequence[str]) -> list[str]:
    """The runs of these parts: both forms of a method, step sizes of the new form alone."""
    return [f"{part}-{form}" for part in parts for form in (FORMS if part in PARTS else ("alone",))]


def do(parts: Sequence[str], folders: Folders) -> None:
    """Train and measure what is not done yet on this data, and write the page after each.

    Raises:
        FileError: a result that is to come onto the page is damaged, or something else.
    """
    page(folders.records)  # before anything is trained
    data = None
    for name in names(parts):
        file = _file(folders.records, name)
        run = experiment(name)
        data = data or fingerprint(run.config, folders)
        known = {"flags": list(run.flags), "data": data}
        stored = read_document(file, KEYS) or {}
        if any(stored.get(key) != value for key, value in known.items()):
            write_document(file, known | measured(run, folders))
        write_text(folders.records / "README.md", page(folders.records))
        print("measured", name, flush=True)


def measured(run: Experiment, folders: Folders) -> Document:
    """A run's validation accuracies, [tasks, steps + 1], now trained as far as it is not."""
    trained = trained_run(run, folders)
    learner = trained.learner
    learner.evaluation_mask, learner.evaluation_updates = "mode", STEPS
    settings = run.settings(run.config.update_batch_size, split="val", mask="mode")
    found = measure(run.config, learner, trained.source, settings)
    keras.backend.clear_session()
    together = found.accuracies
    alone = together if found.accuracies_alone is None else found.accuracies_alone
    return {
        "measured_with": {key: str(value) for key, value in environment().items()},
        "together": rounded(together),
        "alone": rounded(alone),
    }


def accuracies(file: Path) -> dict[str, np.ndarray] | None:
    """What `measured` gave, by how the queries were asked; None if it is not there.

    Raises:
        FileError: the file is damaged, or something else.
    """
    document = read_document(file, KEYS)
    if document is None:
        return None
    shape = (None, STEPS + 1)
    kinds = ("together", "alone")
    return parsed(file, lambda: {kind: numbers(document, kind, shape) for kind in kinds})


def page(records: Path) -> str:
    """README.md of what is measured."""
    header = ["run", "queries", *(f"{steps} steps" for steps in range(STEPS + 1))]

    def rows(names: Sequence[str]) -> list[list[str]]:
        table = []
        for name in names:
            found = accuracies(_file(records, name))
            if found is None:
                continue
            kinds = ("together", "alone") if name.endswith("paper") else ("alone",)
            for kind in kinds:
                cells = [percent(found[kind][:, steps]) for steps in range(STEPS + 1)]
                table.append([name, kind, *cells])
        return table

    step_sizes = rows(names(list(PARTS_OF_STEP_SIZES)))
    return PAGE.format(
        iterations=ITERATIONS,
        tasks=TASKS,
        table=markdown(header, rows(names(list(PARTS)))),
        step_sizes=STEP_SIZES_PAGE.format(table=markdown(header, step_sizes)) if step_sizes else "",
    )


def _file(records: Path, name: str) -> Path:
    return records / f"{name}.json"


if __name__ == "__main__":
    command.define("single_pictures/forms", PARTS | PARTS_OF_STEP_SIZES)
    command.define_images()
    define_help()

    def main(parts: Sequence[str]) -> None:
        """Train and measure these parts."""
        folders = command.image_folders("")
        do(parts, Folders(folders.records, folders.workdir, folders.data_path, folders.cache_dir))

    sys.exit(command.main(sys.argv, PARTS | PARTS_OF_STEP_SIZES, main))
