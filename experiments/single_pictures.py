"""One model for single pictures and any number of classes, measured.

python -m experiments.single_pictures --run=FOLDER --data_path=DIR
python -m experiments.single_pictures --run=FOLDER --data_path=DIR --only=ways

Measures a run of `main.py --queries=alone` on held-out classes, which need not be trained to its
end: its last checkpoint is taken. Writes every task's mean into --output and a page of tables.
Stopped at any moment, the same command goes on where it was.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import utils.tensorflow_environment  # noqa: F401

import numpy as np
import tensorflow as tf
from absl import app, flags

from data_generators import Episode
from experiments import command
from experiments.domains import AS_TRAINED, DOMAINS
from experiments.omniglot import EXPERIMENTS as PAPERS
from experiments.record import Document, read_document, rounded, write_document
from experiments.runs import restore_export
from experiments.tables import markdown, percent
from maml_tnet import MetaLearner
from system.atomic_file import write_text
from utils.command.configuration import Config
from utils.command.paths import define_path
from utils.errors import UsageError
from utils.runs.assembly import build_learner, build_source
from utils.runs.checkpoints import Checkpoints
from utils.runs.datasets import held_out_episodes
from utils.runs.environment import environment
from utils.runs.folder import Run
from utils.runs.optimizers import evaluation_weights

STEPS = 5
SHOTS = (1, 5)
DOMAINS_WAY = 5
# How the classes of a task are asked: at least so many queries together, as many of every class.
QUERIES = 10
BATCH = 20
PARTS = {
    "ways": [(way, shot, AS_TRAINED) for way in (2, 5, 10, 20, 50) for shot in SHOTS],
    "domains": [(DOMAINS_WAY, shot, domain) for domain in DOMAINS for shot in SHOTS],
    "papers": [],
}

PAGE = """# Single pictures, any number of classes

Written by `python -m experiments.single_pictures --run=FOLDER --data_path=DIR`; nothing here is
typed by hand. {model}. Accuracy in % on {tasks} tasks of held-out classes, with the 95 % interval
over them (of the one network that was trained), masks at their mode. Each query is answered as if
it were alone, so that asking all together changes nothing.

After {trained} inner step(s), as trained, one model for all:

{ways}

After 0 to 5 inner steps; after 0, the answers are the prototypes' alone ({way}-way; as trained and
changed by hand):

{steps}
{papers}"""

PAPERS_PAGE = """
The paper's form on the same tasks, after its own number of inner steps. It is for one number of
classes, in one order:

{table}
"""

# What the cells that are stored must have been measured with.
MEASURED = ("configuration", "data", "iteration", "tasks")


@dataclass(frozen=True)
class Cell:
    """What is measured at a time.

    Attributes:
        way: classes a task.
        shot: support pictures a class.
        domain: one of `DOMAINS`.
    """

    way: int
    shot: int
    domain: str

    @property
    def name(self) -> str:
        """Its key in the document."""
        return f"{self.way}-way {self.shot}-shot, {self.domain}"

    @property
    def query(self) -> int:
        """Queries a class."""
        return -(-QUERIES // self.way)


def measure(
    learner: MetaLearner,
    config: Config,
    cell: Cell,
    *,
    tasks: int,
    data_path: str | None,
    cache_dir: str,
) -> dict[str, np.ndarray]:
    """Accuracies of a cell's held-out test tasks, by name, each [tasks, steps + 1]."""
    source = build_source(
        replace(config, num_classes=cell.way, update_batch_size=cell.shot), data_path, cache_dir
    )
    change = DOMAINS[cell.domain]

    def changed(numbers: tf.Tensor, episode: Episode) -> tuple[tf.Tensor, Episode]:
        keys = [tf.stack([numbers, tf.fill(tf.shape(numbers), part)], axis=1) for part in (0, 1)]
        return numbers, episode._replace(
            support_x=change(episode.support_x, keys[0]), query_x=change(episode.query_x, keys[1])
        )

    episodes = held_out_episodes(
        source, "test", tasks=tasks, batch=BATCH, shot=cell.shot, query=cell.query
    )
    learner.predict_function = None  # compiled for another way
    with evaluation_weights(learner):
        found = learner.predict(episodes.map(changed), verbose=0)
    return {name: values[:tasks] for name, values in found.items() if name != "loss"}


def opened(
    folder: Path, data_path: str | None, cache_dir: str
) -> tuple[Run, MetaLearner, int, str | None]:
    """A run, its learner with the last checkpoint's weights, their iteration, its data.

    Raises:
        UsageError: there is no run, or not one of `--queries=alone`.
        FileError: its configuration is damaged.
    """
    run = Run.opened(folder)
    config = run.config
    if not config.answers_queries_alone:
        raise UsageError(f"--run={folder} must be trained with --queries=alone")
    source = build_source(config, data_path, cache_dir)
    learner = build_learner(
        config, source, evaluation_updates=max(STEPS, config.num_updates), evaluation_mask="mode"
    )
    _, iteration = Checkpoints(run, learner).restore("last")
    record = source.data_record
    return run, learner, iteration, None if record is None else record.fingerprint


def do(parts: Sequence[str], folder: Path, tasks: int) -> None:
    """Measure what is not measured yet, and write the page after each cell."""
    flag_values = command.FLAGS
    data = {"data_path": flag_values.data_path, "cache_dir": flag_values.cache_dir}
    output, pretrained = Path(flag_values.output), Path(flag_values.pretrained)
    run, learner, iteration, fingerprint = opened(folder, **data)
    document = {
        "configuration": run.config.to_dict(),
        "data": fingerprint,
        "iteration": iteration,
        "tasks": tasks,
        "measured_with": {key: str(value) for key, value in environment().items()},
    }
    file = output / f"{run.config.run_name}.json"
    stored = read_document(file) or {}
    same = all(stored.get(key) == document[key] for key in MEASURED)
    cells = stored["cells"] if same else {}

    def keep(key: str, found: dict[str, np.ndarray]) -> None:
        cells[key] = {name: rounded(values) for name, values in found.items()}
        write_document(file, document | {"cells": cells})
        write_text(output / "README.md", page(run.config, document | {"cells": cells}))
        print("measured", key, flush=True)

    for cell in (Cell(*sizes) for part in parts for sizes in PARTS[part]):
        if cell.name not in cells:
            keep(cell.name, measure(learner, run.config, cell, tasks=tasks, **data))
    if "papers" in parts and run.config.datasource == "omniglot":
        for name, experiment in PAPERS.items():
            export, config = pretrained / f"omniglot-{name}", experiment.config
            cell = Cell(config.num_classes, 1, AS_TRAINED)
            if name in cells or not name.endswith("-best"):
                continue
            papers = build_learner(
                config, build_source(config, **data), evaluation_updates=1, evaluation_mask="mode"
            )
            restore_export(papers, export)
            keep(name, measure(papers, config, cell, tasks=tasks, **data))


def page(config: Config, document: Document) -> str:
    """README.md of what is measured."""
    cells = {
        name: {kind: np.array(values) for kind, values in found.items()}
        for name, found in document["cells"].items()
    }
    trained = config.num_updates

    def accuracy(way: int, shot: int, domain: str, steps: int) -> str:
        found = cells.get(Cell(way, shot, domain).name)
        return percent(found["accuracy"][:, steps]) if found else ""

    ways = sorted({way for way, *_ in PARTS["ways"]})
    papers = [
        [
            name,
            f"{experiment.config.num_classes}-way",
            percent(cells[name]["accuracy"][:, -1]),
            percent(cells[name]["accuracy_alone"][:, -1]),
        ]
        for name, experiment in PAPERS.items()
        if name in cells
    ]
    header = ["run", "", "queries together", "each alone"]
    return PAGE.format(
        model=(
            f"The run `{config.run_name}` ({config.method}, trained on {config.num_classes}-way "
            f"{config.update_batch_size}-shot {config.datasource}) after "
            f"{document['iteration']} iterations"
        ),
        tasks=document["tasks"],
        trained=trained,
        ways=markdown(
            ["", *(f"{way}-way" for way in ways)],
            [
                [f"{shot}-shot", *(accuracy(way, shot, AS_TRAINED, trained) for way in ways)]
                for shot in SHOTS
            ],
        ),
        way=DOMAINS_WAY,
        steps=markdown(
            ["pictures", *map(str, range(STEPS + 1))],
            [
                [
                    f"{domain}, {shot}-shot",
                    *(accuracy(DOMAINS_WAY, shot, domain, steps) for steps in range(STEPS + 1)),
                ]
                for domain in DOMAINS
                for shot in SHOTS
            ],
        ),
        papers=PAPERS_PAGE.format(table=markdown(header, papers)) if papers else "",
    )


if __name__ == "__main__":
    command.define("single_pictures", PARTS)
    command.define_images()
    define_path("run", None, "folder of the run to measure")
    flags.mark_flag_as_required("run")
    flags.DEFINE_integer(
        "num_tasks", 600, "held-out tasks of each kind", lower_bound=2, upper_bound=1_000_000
    )
    app.define_help_flags()

    def main(names: Sequence[str]) -> None:
        """Measure these parts."""
        do(names, Path(command.FLAGS.run), command.FLAGS.num_tasks)

    sys.exit(command.main(sys.argv, PARTS, main))
