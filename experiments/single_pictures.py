"""One model for single pictures and any number of classes, measured.

python -m experiments.single_pictures --run=FOLDER --data_path=DIR
python -m experiments.single_pictures --run=FOLDER --data_path=DIR --only=ways
python -m experiments.single_pictures --run=FOLDER --data_path=DIR --only=other --other_path=FILE

Measures a run of `main.py --queries=alone` on held-out classes, which need not be trained to its
end: its last checkpoint is taken. Writes every task's mean and a page of tables into --output, and
the model into --pretrained. Stopped at any moment, the same command goes on where it was.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import utils.tensorflow_environment  # noqa: F401

import numpy as np
import tensorflow as tf
from absl import app, flags

from data_generators import Episode, TaskSource
from data_generators.random_streams import SPLITS
from experiments import command
from experiments.calibration import (
    expected_calibration_error,
    fitted_temperature,
    margins,
    strangers_below,
    strangers_kept,
    tempered,
)
from experiments.domains import AS_TRAINED, DOMAINS, OTHERS, Change, seen_by
from experiments.omniglot import EXPERIMENTS as PAPERS
from experiments.record import Document, read_document, rounded, write_document
from experiments.runs import fingerprint_of, list_exports, restore_export
from experiments.tables import markdown, percent
from maml_tnet import MetaLearner
from system.atomic_file import write_text
from utils.command.configuration import Config
from utils.command.paths import define_path
from utils.errors import UsageError
from utils.prediction.exporting import export_trained
from utils.reports.intervals import half_width
from utils.runs.assembly import build_learner, build_source
from utils.runs.checkpoints import Checkpoints
from utils.runs.datasets import held_out_episodes
from utils.runs.environment import environment
from utils.runs.folder import Run
from utils.runs.optimizers import evaluation_weights
from utils.runs.used_data import used_data

STEPS = 5
SHOTS = (1, 5)
DOMAINS_WAY = 5
# How the classes of a task are asked: at least so many queries together, as many of every class.
QUERIES = 10
BATCH = 20
PARTS = {
    "steps": [(5, shot, AS_TRAINED) for shot in SHOTS],
    "ways": [(way, shot, AS_TRAINED) for way in (2, 5, 10, 20, 50) for shot in SHOTS],
    "domains": [(DOMAINS_WAY, shot, domain) for domain in DOMAINS for shot in SHOTS],
    "probabilities": [(way, shot, AS_TRAINED) for way in (2, 5, 10, 20, 50) for shot in SHOTS],
    "other": [(DOMAINS_WAY, shot, domain) for domain, _ in OTHERS.values() for shot in SHOTS],
    "papers": [],
    "model": [],
}
# Names of the SavedModels, by what they learned from.
MODELS = {"omniglot": "drawings", "miniimagenet": "photographs", "images": "images"}
# Ways of the validation tasks on which the temperature is fitted, as far as there are the classes.
FITTED_WAYS = (5, 20)

PAGE = """# Single pictures, any number of classes

Written by `python -m experiments.single_pictures --run=FOLDER --data_path=DIR`; nothing here is
typed by hand. {model}. Accuracy in % on {tasks} tasks of held-out classes, with the 95 % interval
over them (of the one network that was trained), masks at their mode. Each query is answered as if
it were alone, so that asking all together changes nothing.

After {taken} inner step(s), {chosen}, one model for all:

{ways}

After 0 to 5 inner steps; after 0, the answers are the prototypes' alone ({way}-way; as trained and
changed by hand, and pictures of another kind where they were measured):

{steps}
{probabilities}{papers}"""

PROBABILITIES_PAGE = """
What the probabilities are worth, after {taken} inner step(s). Their expected calibration error
in % (15 bins), as they are, and with a temperature of {temperature:.2f}, which was fitted on
{fitted} validation tasks of {ways} ways, 1 and 5 shots:

{calibration}

Each task is also asked pictures of as many other classes, that is, of none of its own. Under
"margin" stands how often such a stranger has a smaller margin (of the two likeliest classes) than a
picture of one of the classes, in %: 50 is chance. Under "kept", how many % of the strangers have a
margin as large as 95 % of the others:

{strangers}
"""

PAPERS_PAGE = """
The paper's form on the same tasks, after its own number of inner steps. It is for one number of
classes, in one order:

{table}
"""

# What the cells that are stored must have been measured with.
MEASURED = ("configuration", "data", "iteration", "tasks", "fitted_ways")


@dataclass(frozen=True)
class Cell:
    """What is measured at a time.

    Attributes:
        way: classes a task.
        shot: support pictures a class.
        domain: one of `DOMAINS`, or a name of `OTHERS`.
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
    cell: Cell,
    source: TaskSource,
    change: Change,
    tasks: int,
    split: str = "test",
) -> dict[str, np.ndarray]:
    """Accuracies of a cell's held-out tasks, by name, each [tasks, steps + 1].

    Args:
        learner: to measure.
        cell: of the tasks.
        source: of their pictures.
        change: what is done to these.
        tasks: how many.
        split: whose classes they have.
    """

    def changed(numbers: tf.Tensor, episode: Episode) -> tuple[tf.Tensor, Episode]:
        keys = [tf.stack([numbers, tf.fill(tf.shape(numbers), part)], axis=1) for part in (0, 1)]
        return numbers, episode._replace(
            support_x=change(episode.support_x, keys[0]), query_x=change(episode.query_x, keys[1])
        )

    episodes = held_out_episodes(
        source, split, tasks=tasks, batch=BATCH, shot=cell.shot, query=cell.query
    )
    learner.predict_function = None  # compiled for another way
    with evaluation_weights(learner):
        found = learner.predict(episodes.map(changed), verbose=0)
    return {name: values[:tasks] for name, values in found.items() if name != "loss"}


def pictures(
    config: Config, cell: Cell, other_path: str | None, *, data_path: str | None, cache_dir: str
) -> tuple[TaskSource, Change]:
    """The source of a cell's pictures, and what is done to them for the run's network."""

    def source(config: Config, path: str | None) -> TaskSource:
        sizes = {"num_classes": cell.way, "update_batch_size": cell.shot}
        return build_source(replace(config, **sizes), path, cache_dir)

    own = source(config, data_path)
    if cell.domain in DOMAINS:
        return own, DOMAINS[cell.domain]
    _, datasource = OTHERS[config.datasource]
    other = source(replace(config, datasource=datasource, num_train_classes=-1), other_path)
    return other, seen_by(own.image_input, other.image_input)


class Answers(NamedTuple):
    """What is said of the queries of a cell's tasks.

    Attributes:
        known: probabilities for queries of the tasks' classes, [queries, way].
        labels: the classes of these, [queries].
        strangers: probabilities for queries of as many other classes, [queries, way].
    """

    known: np.ndarray
    labels: np.ndarray
    strangers: np.ndarray


def ask(
    learner: MetaLearner,
    config: Config,
    cell: Cell,
    *,
    split: str,
    tasks: int,
    strangers: bool,
    steps: int,
    data_path: str | None,
    cache_dir: str,
) -> Answers:
    """Ask held-out tasks, and where it is wanted pictures of other classes, too.

    Tasks are drawn with twice as many classes, of which the second half is not learned.
    """
    ways = cell.way * (2 if strangers else 1)
    source = build_source(
        replace(config, num_classes=ways, update_batch_size=cell.shot), data_path, cache_dir
    )
    learned, known = cell.way * cell.shot, cell.way * cell.query
    found = []

    @tf.function(autograph=False)
    def answer(episode: Episode) -> tuple[tf.Tensor, tf.Tensor]:
        support_x, support_y = _by_class(episode.support_x, episode.support_y)
        query_x, query_y = _by_class(episode.query_x, episode.query_y)
        probabilities = learner.adapt_and_predict(
            support_x[:, :learned], support_y[:, :learned, : cell.way], query_x, steps
        )
        return probabilities, tf.argmax(query_y, axis=-1)

    episodes = held_out_episodes(
        source, split, tasks=tasks, batch=BATCH, shot=cell.shot, query=cell.query
    )
    with evaluation_weights(learner):
        for _, episode in episodes:
            found.append([part.numpy() for part in answer(episode)])
    probabilities, labels = (np.concatenate(parts)[:tasks] for parts in zip(*found, strict=True))
    return Answers(
        probabilities[:, :known].reshape(-1, cell.way),
        labels[:, :known].reshape(-1),
        probabilities[:, known:].reshape(-1, cell.way),
    )


def _by_class(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Examples [tasks, examples, ...] in the order of their classes."""
    order = tf.argsort(tf.argmax(y, axis=-1), axis=1, stable=True)
    return tf.gather(x, order, batch_dims=1), tf.gather(y, order, batch_dims=1)


def chosen_steps(validation: Mapping[str, Sequence[Sequence[float]]], trained: int) -> int:
    """The inner steps that the model takes: training's, unless others are clearly better.

    Args:
        validation: accuracies of the same validation tasks, [tasks, steps + 1], with several shots.
        trained: number of inner steps in training.

    Returns:
        the number with the largest mean, if by more than the 95 % interval of the difference.
    """
    if not validation:
        return trained
    accuracies = np.mean([np.array(values) for values in validation.values()], axis=0)
    best = int(np.argmax(np.mean(accuracies, axis=0)))
    gains = accuracies[:, best] - accuracies[:, trained]
    return best if np.mean(gains) > half_width(gains[np.newaxis]) else trained


def _after(steps: int, probabilities: Document, trained: int) -> Document:
    """What was measured after this number of steps; version 0.5.0 always took training's."""
    return {
        name: found for name, found in probabilities.items() if found.get("steps", trained) == steps
    }


def temperature(
    learner: MetaLearner,
    config: Config,
    ways: Sequence[int],
    tasks: int,
    steps: int,
    **data: str | None,
) -> float:
    """The temperature that fits validation tasks of these ways and several shots best."""
    answers = [
        ask(
            learner,
            config,
            Cell(way, shot, AS_TRAINED),
            split="val",
            tasks=tasks,
            strangers=False,
            steps=steps,
            **data,
        )
        for way in ways
        for shot in SHOTS
    ]
    return fitted_temperature([(found.known, found.labels) for found in answers])


def worth(answers: Answers, temperature: float, steps: int) -> dict[str, float]:
    """What the probabilities of a cell after a number of inner steps are worth, by name."""
    known, labels, strangers = answers
    of_known, of_strangers = margins(known), margins(strangers)
    return {
        "steps": steps,
        "temperature": temperature,
        "calibration_error": expected_calibration_error(known, labels),
        "calibration_error_tempered": expected_calibration_error(
            tempered(known, temperature), labels
        ),
        "strangers_below": strangers_below(of_known, of_strangers),
        "strangers_kept": strangers_kept(of_known, of_strangers),
    }


def opened(
    folder: Path, data_path: str | None, cache_dir: str
) -> tuple[Run, MetaLearner, int, TaskSource]:
    """A run, its learner with the last checkpoint's weights, their iteration, its episodes.

    Raises:
        UsageError: there is no run, not one of `--queries=alone`, or one on other data.
        FileError: its configuration is damaged.
    """
    run = Run.opened(folder)
    config = run.config
    if not config.answers_queries_alone:
        raise UsageError(f"--run={folder} must be trained with --queries=alone")
    source = build_source(config, data_path, cache_dir)
    run.check_data(used_data(source, data_path, cache_dir))
    learner = build_learner(
        config, source, evaluation_updates=max(STEPS, config.num_updates), evaluation_mask="mode"
    )
    _, iteration = Checkpoints(run, learner).restore("last")
    return run, learner, iteration, source


def check_page(output: Path, name: str) -> None:
    """Raise a UsageError if a folder's page is of another run than that of this name."""
    others = [file.name for file in sorted(output.glob("*.json")) if file.stem != name]
    if others:
        raise UsageError(
            f"--output={output} has the page of another run, {others[0]}: name another folder"
        )


def do(parts: Sequence[str], folder: Path, tasks: int) -> None:
    """Measure what is not measured yet, and write the page after each cell."""
    flag_values = command.FLAGS
    data = {"data_path": flag_values.data_path, "cache_dir": flag_values.cache_dir}
    output, pretrained = Path(flag_values.output), Path(flag_values.pretrained)
    check_page(output, Run.opened(folder).config.run_name)
    run, learner, iteration, trained_on = opened(folder, **data)
    classes = min(len(trained_on.class_ids(split)) for split in SPLITS)
    document = {
        "configuration": run.config.to_dict(),
        "data": fingerprint_of(trained_on),
        "iteration": iteration,
        "tasks": tasks,
        "fitted_ways": [way for way in FITTED_WAYS if way <= classes],
        "trained_with": run.starts(),
        "measured_with": {key: str(value) for key, value in environment().items()},
    }
    file = output / f"{run.config.run_name}.json"
    stored = read_document(file) or {}
    _check_stored(file, stored, document)
    if stored and "trained_with" not in stored:  # version 0.5.0 did not note it
        write_document(file, stored | {"trained_with": document["trained_with"]})
    cells, probabilities, validation = (
        stored.get(name, {}) for name in ("cells", "probabilities", "validation")
    )

    def keep(key: str) -> None:
        content = document | {
            "cells": cells,
            "probabilities": probabilities,
            "validation": validation,
        }
        write_document(file, content)
        write_text(output / "README.md", page(run.config, content))
        print("measured", key, flush=True)

    def keep_cell(key: str, found: dict[str, np.ndarray]) -> None:
        cells[key] = {name: rounded(values) for name, values in found.items()}
        keep(key)

    if "steps" in parts:
        for cell in (Cell(*sizes) for sizes in PARTS["steps"]):
            if cell.name not in validation:
                source, change = pictures(run.config, cell, None, **data)
                found = measure(learner, cell, source, change, tasks, split="val")
                validation[cell.name] = rounded(found["accuracy"])
                keep(f"{cell.name}, on validation classes")
    steps = chosen_steps(validation, run.config.num_updates)
    probabilities = _after(steps, probabilities, run.config.num_updates)
    accuracies = [part for part in parts if part not in ("steps", "probabilities")]
    shown, _ = OTHERS.get(run.config.datasource, (None, None))
    for cell in (Cell(*sizes) for part in accuracies for sizes in PARTS[part]):
        if cell.name in cells or cell.domain not in (*DOMAINS, shown) or cell.way > classes:
            continue
        if cell.domain == shown and flag_values.other_path is None:
            print(f"{cell.name}: left out, --other_path names no {shown}", flush=True)
            continue
        source, change = pictures(run.config, cell, flag_values.other_path, **data)
        keep_cell(cell.name, measure(learner, cell, source, change, tasks))
    if "probabilities" in parts:
        fitted = None
        for cell in (Cell(*sizes) for sizes in PARTS["probabilities"]):
            if cell.name in probabilities or 2 * cell.way > classes:
                continue
            if fitted is None:
                ways = document["fitted_ways"]
                fitted = temperature(learner, run.config, ways, tasks, steps, **data)
            asked = ask(
                learner,
                run.config,
                cell,
                split="test",
                tasks=tasks,
                strangers=True,
                steps=steps,
                **data,
            )
            probabilities[cell.name] = worth(asked, fitted, steps)
            keep(f"the probabilities of {cell.name}")
    if "papers" in parts and run.config.datasource == "omniglot":
        for name, experiment in PAPERS.items():
            export, config = pretrained / f"omniglot-{name}", experiment.config
            cell = Cell(config.num_classes, 1, AS_TRAINED)
            if name in cells or not name.endswith("-best"):
                continue
            source, change = pictures(config, cell, None, **data)
            papers = build_learner(config, source, evaluation_updates=1, evaluation_mask="mode")
            restore_export(papers, export)
            keep_cell(name, measure(papers, cell, source, change, tasks))
    if "model" in parts:
        model = pretrained / MODELS[run.config.datasource]
        readme = {"README.md": origin(run.config, iteration)}
        export_trained(learner, trained_on, run.config, model, readme, num_updates=steps)
        list_exports(pretrained)
        print("wrote", model)


def _check_stored(file: Path, stored: Document, document: Document) -> None:
    """Raise a UsageError if what is stored was measured otherwise: it may have taken hours."""
    differing = [key for key in MEASURED if stored and stored.get(key) != document[key]]
    if differing:
        raise UsageError(
            f"{file} was measured with other {', '.join(differing)}: name another --output, or "
            "remove it to measure again"
        )


def origin(config: Config, iteration: int) -> str:
    """The line that stands beside the model: what it is."""
    return (
        f"{config.method}, for any number of classes and for pictures one at a time, trained on "
        f"{config.num_classes}-way {config.update_batch_size}-shot {config.datasource}, "
        f"{iteration} iterations.\n"
    )


def page(config: Config, document: Document) -> str:
    """README.md of what is measured."""
    cells = {
        name: {kind: np.array(values) for kind, values in found.items()}
        for name, found in document["cells"].items()
    }
    trained = config.num_updates
    taken = chosen_steps(document.get("validation", {}), trained)
    of_probabilities = _after(taken, document["probabilities"], trained)
    chosen = "as trained"
    if taken != trained:
        chosen = f"chosen on {document['tasks']} validation tasks (trained with {trained})"

    def accuracy(way: int, shot: int, domain: str, steps: int) -> str:
        found = cells.get(Cell(way, shot, domain).name)
        return percent(found["accuracy"][:, steps]) if found else ""

    def share(way: int, shot: int, name: str) -> str:
        found = of_probabilities.get(Cell(way, shot, AS_TRAINED).name)
        return f"{100 * found[name]:.1f}" if found else ""

    def shares(names: Mapping[str, str]) -> str:
        """A table of some of what `worth` says, by their titles."""
        return markdown(
            ["", *(f"{way}-way" for way in ways)],
            [
                [f"{shot}-shot, {title}", *(share(way, shot, name) for way in ways)]
                for shot in SHOTS
                for title, name in names.items()
            ],
        )

    ways = [
        way
        for way in sorted({way for way, *_ in PARTS["ways"]})
        if Cell(way, SHOTS[0], AS_TRAINED).name in document["cells"]
    ]
    probabilities = ""
    if of_probabilities:
        probabilities = PROBABILITIES_PAGE.format(
            taken=taken,
            fitted=len(document["fitted_ways"]) * len(SHOTS) * document["tasks"],
            ways=" and ".join(map(str, document["fitted_ways"])),
            temperature=next(iter(of_probabilities.values()))["temperature"],
            calibration=shares(
                {"as it is": "calibration_error", "tempered": "calibration_error_tempered"}
            ),
            strangers=shares({"margin": "strangers_below", "kept": "strangers_kept"}),
        )
    others = [domain for domain, _ in OTHERS.values()]
    domains = [*DOMAINS, *(d for d in others if Cell(DOMAINS_WAY, SHOTS[0], d).name in cells)]
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
        taken=taken,
        chosen=chosen,
        ways=markdown(
            ["", *(f"{way}-way" for way in ways)],
            [
                [f"{shot}-shot", *(accuracy(way, shot, AS_TRAINED, taken) for way in ways)]
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
                for domain in domains
                for shot in SHOTS
            ],
        ),
        probabilities=probabilities,
        papers=PAPERS_PAGE.format(table=markdown(header, papers)) if papers else "",
    )


if __name__ == "__main__":
    command.define("single_pictures", PARTS)
    command.define_images()
    define_path("run", None, "folder of the run to measure")
    define_path("other_path", None, "data of the other kind: photographs for a model of drawings")
    flags.DEFINE_integer(
        "num_tasks", 600, "held-out tasks of each kind", lower_bound=2, upper_bound=1_000_000
    )
    app.define_help_flags()

    def main(names: Sequence[str]) -> None:
        """Measure these parts."""
        if command.FLAGS.run is None:
            raise UsageError("--run must name the folder of a run of main.py --queries=alone")
        do(names, Path(command.FLAGS.run), command.FLAGS.num_tasks)

    sys.exit(command.main(sys.argv, PARTS, main))
