"""The page of the table of photographs."""

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
from experiments.paper import TABLE_3_BASELINES, paper_figure
from experiments.photographs.plan import ITERATIONS, SHOTS
from experiments.record import Record, read_records
from experiments.table3 import METHODS, Table3, pairs
from experiments.tables import markdown, percent
from system.atomic_file import write_text

PAGE = """# miniImagenet's experiment on photographs of Caltech 101

Written by `python -m experiments.photographs --data_path=FILE`; nothing here is typed by hand.
5-way accuracy in % on 600 tasks of the 20 held-out classes, with the 95 % interval over them (of
the one network that was trained), with K queries a class. The meta-learners had {iterations}
iterations of the recipe for miniImagenet (5 inner steps, as reported). The paper's figures are for
miniImagenet, other and harder images, after 60,000 iterations.

{table}

{chosen}
"""
RUNS = """
Test accuracy after every number of inner steps (mask drawn; training's in bold):

{steps}

{mode}

{differences}

![learning curves](curves.png)

{commands}
"""


def write_readme(table: Table3, output: Path) -> None:
    """Write README.md and curves.png of what is finished."""
    records = read_records(table.experiments.values(), output)
    baselines = read_baselines(output, table.baselines)
    found = {} if baselines is None else accuracies(baselines, table.baselines)
    page = PAGE.format(
        iterations=ITERATIONS,
        table=markdown(
            ["method", "1-shot", "5-shot", "miniImagenet in the paper: 1-shot", "5-shot"],
            _of_meta_learners(table, records) + _of_baselines(found),
        ),
        chosen="" if baselines is None else chosen(baselines, table.baselines),
    )
    if records:
        page += RUNS.format(
            steps=steps_table(records),
            mode=markdown(
                ["masks at their mode", "test"],
                [
                    [n, cell(r, "test", "mode")]
                    for n, r in records.items()
                    if r.experiment.config.use_M
                ],
            ),
            differences=differences(as_trained(records) | found, pairs(SHOTS)),
            commands=commands(records),
        )
        plot_curves(records, output, lowest=20)
    write_text(output / "README.md", page)


def _of_meta_learners(table: Table3, records: Mapping[str, Record]) -> list[list[str]]:
    rows = []
    for method in METHODS:
        experiments = [table.experiments[result_name(method, shot)] for shot in SHOTS]
        cells = [cell(records[e.name]) if e.name in records else "" for e in experiments]
        if any(cells):
            paper = [paper_figure(e.config, e.shots[0]) or "" for e in experiments]
            rows.append([experiments[0].config.method, *cells, *paper])
    return rows


def _of_baselines(found: Mapping[str, np.ndarray]) -> list[list[str]]:
    return [
        [
            title,
            *(percent(found[result_name(baseline, shot)]) for shot in SHOTS),
            *(TABLE_3_BASELINES[title, shot] for shot in SHOTS),
        ]
        for baseline, title in TITLES.items()
        if found
    ]
