"""The page of miniImagenet's results."""

import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from experiments.baselines.document import accuracies, chosen, read_baselines
from experiments.baselines.plan import TITLES, result_name
from experiments.image_tables import (
    as_trained,
    cell,
    commands,
    differences,
    plot_curves,
    steps_table,
)
from experiments.miniimagenet.plan import (
    FIRST_TASKS,
    ITERATIONS,
    OTHER_PART,
    SHOTS,
    TEST_TASKS,
    on_other_photographs,
)
from experiments.paper import TABLE_3_BASELINES, paper_figure
from experiments.photographs.plan import EXPERIMENTS as OF_PHOTOGRAPHS
from experiments.photographs.plan import ITERATIONS as ITERATIONS_OF_PHOTOGRAPHS
from experiments.photographs.plan import SHOTS as OTHER_SHOTS
from experiments.photographs.plan import TEST_TASKS as OTHER_TASKS
from experiments.record import Record, read_records
from experiments.table3 import METHODS, Table3, pairs
from experiments.tables import markdown, percent
from system.atomic_file import write_text

PAGE = """# miniImagenet, 5-way 1-shot: the lower half of the paper's Table 3

Written by `python -m experiments.miniimagenet --data_path=FILE --iterations={iterations}`; nothing
here is typed by hand. Accuracy in % on tasks of the 20 test classes, with the 95 % interval over
them (of the one network that was trained), one query a class, after the 5 inner steps of training,
masks drawn where nothing else is said. {first:,} tasks are as many as MAML's paper has, {tasks:,}
as many as the MT-net code; the former are the first of the latter. All meta-learners had
{iterations:,} iterations of the paper's recipe; nothing was chosen by the test classes. {shorter}

{table}

Not run: {missing}.

{chosen}
"""
SHORTER = "The paper's\nfigures are those of {papers:,} iterations."
RUNS = """
Accuracy on the {tasks:,} tasks after every number of inner steps (training's in bold):

{steps}

{differences}
{update_probabilities}
![learning curves](curves.png)

{commands}
"""
UPDATE_PROBABILITIES = """
P(update) = sigmoid(zeta), the mean over the units of a layer, 0.5 before training:

{table}
"""
OTHER = """
## On other photographs

The same networks on {tasks} tasks of the 20 held-out classes of Caltech 101, K queries a class,
masks at their mode; beside them those of `experiments.photographs`, which were trained on other
classes of it, with this K, for {iterations} iterations, on the same tasks:

{table}
"""


def write_readme(table: Table3, output: Path) -> None:
    """Write README.md and curves.png of what is finished."""
    records = read_records(table.experiments.values(), output)
    baselines = read_baselines(output, table.baselines)
    found = {} if baselines is None else accuracies(baselines, table.baselines)
    iterations = table.baselines.config.metatrain_iterations
    missing = [e.config.method for name, e in table.experiments.items() if name not in records]
    page = PAGE.format(
        iterations=iterations,
        first=FIRST_TASKS,
        tasks=TEST_TASKS,
        shorter="" if iterations == ITERATIONS else SHORTER.format(papers=ITERATIONS),
        table=markdown(
            ["method", f"{FIRST_TASKS:,} tasks", f"{TEST_TASKS:,} tasks", "paper"],
            [*_of_meta_learners(records), *_of_baselines(found)],
        ),
        missing=", ".join([*missing, "anything 5-shot"]),
        chosen="" if baselines is None else chosen(baselines, table.baselines),
    )
    if records:
        page += RUNS.format(
            tasks=TEST_TASKS,
            steps=steps_table(records, masks=("sample", "mode")),
            differences=differences(as_trained(records) | found, pairs(SHOTS)),
            update_probabilities=_update_probabilities(records),
            commands=commands(records),
        )
        plot_curves(records, output, lowest=20)
    write_text(output / "README.md", page + _on_other_photographs(table, output))


def _of_meta_learners(records: Mapping[str, Record]) -> list[list[str]]:
    rows = []
    for record in records.values():
        config = record.experiment.config
        for mask, name, paper in (
            ("sample", config.method, paper_figure(config, *SHOTS) or ""),
            ("mode", f"{config.method}, masks at their mode", ""),
        ):
            cells = [cell(record, mask=mask, tasks=tasks) for tasks in (FIRST_TASKS, TEST_TASKS)]
            if any(cells):
                rows.append([name, *cells, paper])
    return rows


def _of_baselines(found: Mapping[str, np.ndarray]) -> list[list[str]]:
    rows = []
    for baseline, title in TITLES.items():
        for shot in SHOTS if found else ():
            values = found[result_name(baseline, shot)]
            cells = [percent(values[:tasks]) for tasks in (FIRST_TASKS, TEST_TASKS)]
            rows.append([title, *cells, TABLE_3_BASELINES[title, shot]])
    return rows


def _update_probabilities(records: Mapping[str, Record]) -> str:
    """The part of the page on them; empty where no run has masks."""
    rows = [
        [name, layer, f"{record.layer_update_probability(layer):.3f}"]
        for name, record in records.items()
        for layer in record.mask_logits
    ]
    table = markdown(["run", "layer", "P(update)"], rows)
    return UPDATE_PROBABILITIES.format(table=table) if rows else ""


def _on_other_photographs(table: Table3, output: Path) -> str:
    """The part of the page on them; empty where nothing was measured."""
    others = map(on_other_photographs, table.experiments.values())
    measured = read_records(others, output / OTHER_PART)
    own = read_records(OF_PHOTOGRAPHS.values(), output.parent / "photographs")
    rows = []
    for shot, method in itertools.product(OTHER_SHOTS, METHODS):
        record = measured.get(result_name(method, *SHOTS))
        if record is None:
            continue
        here = _at_mode(record, shot)
        other = own.get(result_name(method, shot))
        cells = ["", ""]
        if other and other.data == record.data:
            there = _at_mode(other, shot)
            cells = [percent(there), percent(here - there, "+")]
        rows.append([f"{record.experiment.config.method}, {shot}-shot", percent(here), *cells])
    header = ["", "trained on miniImagenet 1-shot", "trained there", "difference"]
    if not rows:
        return ""
    return OTHER.format(
        tasks=OTHER_TASKS, iterations=ITERATIONS_OF_PHOTOGRAPHS, table=markdown(header, rows)
    )


def _at_mode(record: Record, shot: int) -> np.ndarray:
    """Accuracies [tasks] after the inner steps of training, with masks, if any, at their mode."""
    config = record.experiment.config
    found = record.find(shot=shot, mask="mode" if config.use_M else "sample")
    if found is None:
        raise ValueError(f"{record.experiment.name} was not measured {shot}-shot")
    return found.after(config.num_updates)
