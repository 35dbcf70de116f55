"""A run of the form for single pictures, measured part by part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_generators import TaskSource
from data_generators.errors import DataError
from data_generators.random_streams import SPLITS
from experiments.exports import (
    ORIGIN,
    check_learned_on,
    has_weights,
    list_exports,
    restore_export,
)
from experiments.omniglot import BEST
from experiments.omniglot import EXPERIMENTS as PAPERS
from experiments.runs import ExperimentRun, fingerprint_of
from experiments.single_pictures.accuracies import measure
from experiments.single_pictures.document import Results, check_page
from experiments.single_pictures.domains import AS_TRAINED, OTHERS
from experiments.single_pictures.pictures import Data
from experiments.single_pictures.plan import Cell, Plan
from experiments.single_pictures.probabilities import ask, temperature, worth
from maml_tnet import MetaLearner
from maml_tnet.replacing import EXTRA_FILES
from system.files import read_text
from utils.command.configuration import Config
from utils.errors import UsageError
from utils.prediction.exporting import export_trained
from utils.runs.assembly import build_learner, build_source
from utils.runs.checkpoints import Checkpoints
from utils.runs.environment import environment
from utils.runs.folder import Run
from utils.runs.used_data import used_data

# Names of the SavedModels, by what they learned from.
MODELS = {"omniglot": "drawings", "miniimagenet": "photographs", "images": "images"}


@dataclass(frozen=True)
class Opened:
    """A run that is to be measured.

    Attributes:
        run: its folder.
        learner: with the last checkpoint's weights.
        iteration: of these.
        source: of the episodes that it was trained on.
    """

    run: Run
    learner: MetaLearner
    iteration: int
    source: TaskSource


def opened(folder: Path, data: Data, plan: Plan) -> Opened:
    """Restore a run.

    Raises:
        UsageError: there is no run, not one of `--queries=alone`, or one on other data.
        FileError: its configuration is damaged.
    """
    run = ExperimentRun.opened(folder)
    config = run.config
    if not config.answers_queries_alone:
        raise UsageError(f"--run={folder} must be trained with --queries=alone")
    source = build_source(config, data.path, data.cache_dir)
    run.check_data(used_data(source, data.path, data.cache_dir))
    learner = build_learner(
        config,
        source,
        evaluation_updates=max(plan.steps, config.num_updates),
        evaluation_mask="mode",
    )
    _, iteration = Checkpoints(run, learner).restore("last")
    return Opened(run, learner, iteration, source)


def do(
    parts: Sequence[str], folder: Path, plan: Plan, data: Data, output: Path, pretrained: Path
) -> None:
    """Measure what is not measured yet, and write the page after each cell.

    Args:
        parts: some of `PARTS`, in their order.
        folder: of the run.
        plan: what is measured.
        data: where the pictures are.
        output: folder of the results.
        pretrained: folder of the SavedModels.

    Raises:
        UsageError: `output` has results of another run, or measured otherwise, or `pretrained` its
            model; or see `opened` and `check_pictures`.
    """
    check_page(output, ExperimentRun.opened(folder).config.run_name)
    measured = opened(folder, data, plan)
    config = measured.run.config
    if "model" in parts:
        check_is_of_this_run(pretrained / MODELS[config.datasource], measured.learner)
    classes = min(len(measured.source.class_ids(split)) for split in SPLITS)
    head = {
        "configuration": config.to_dict(),
        "data": fingerprint_of(measured.source),
        "iteration": measured.iteration,
        "tasks": plan.tasks,
        "fitted_ways": [way for way in plan.fitted_ways if way <= classes],
        "trained_with": measured.run.starts(),
        "measured_with": {key: str(value) for key, value in environment().items()},
    }
    cells = {part: plan.cells(part, config.datasource, classes) for part in parts}
    check_pictures(cells, measured, data)
    results = Results(output, config, plan, head)
    if "steps" in parts:
        _choose_steps(cells["steps"], measured, plan, data, results)
    results.forget_probabilities_after_other_steps()
    for part in parts:
        if part in ("ways", "domains", "other"):
            _measure_accuracies(cells[part], measured, plan, data, results)
        elif part == "probabilities":
            fitted_ways = head["fitted_ways"]
            _measure_probabilities(cells[part], fitted_ways, measured, plan, data, results)
        elif part == "papers" and config.datasource == "omniglot":
            _measure_papers(pretrained, plan, data, results)
        elif part == "model":
            _export(measured, pretrained, results.steps)


def check_pictures(cells: Mapping[str, Sequence[Cell]], measured: Opened, data: Data) -> None:
    """Refuse cells for which classes have too few pictures, before any is measured.

    Without these classes, others may be held out than those that the run has not learned.

    Args:
        cells: of each part that is to be measured.
        measured: the run.
        data: where its pictures are.

    Raises:
        UsageError: there are such cells.
    """
    lacking = {
        part: line for part, of in cells.items() if (line := _lacks(part, of, measured, data))
    }
    if lacking:
        line = next(iter(lacking.values()))
        raise UsageError(
            f"--data_path={data.path} has too few pictures for {','.join(lacking)} of --only, "
            f"which must be left out: {line}"
        )


def _lacks(part: str, cells: Sequence[Cell], measured: Opened, data: Data) -> str | None:
    """What the first of a part's cells needs that is not there."""
    for shot in dict.fromkeys(cell.shot for cell in cells):
        of_shot = [cell for cell in cells if cell.shot == shot]
        way = max(cell.classes(part) for cell in of_shot)
        query = max(measured.run.config.query_batch_size, *(cell.query for cell in of_shot))
        try:
            source = data.source(measured.run.config, way, shot)
            source.check("val" if part == "steps" else "test", shot=shot, query=query)
            held_out = ("val", "test")
            if all(_labels(source, each) <= _labels(measured.source, each) for each in held_out):
                continue
        except DataError:
            pass
        return (
            f"tasks of {way} classes with {shot} support pictures each need {way} classes in "
            f"train, val and test each, and {shot + query} pictures of every class"
        )
    return None


def _labels(source: Any, split: str) -> set[str]:
    return {source.class_names[number] for number in source.class_ids(split)}


def _choose_steps(
    cells: Sequence[Cell], measured: Opened, plan: Plan, data: Data, results: Results
) -> None:
    config = measured.run.config
    for cell in cells:
        if cell.name not in results.validation:
            pictures = data.pictures(config, cell)
            found = measure(measured.learner, cell, *pictures, plan.tasks, split="val")
            results.keep_validation(cell.name, found["accuracy"])


def _measure_accuracies(
    cells: Sequence[Cell], measured: Opened, plan: Plan, data: Data, results: Results
) -> None:
    config = measured.run.config
    others = [name for name, _ in OTHERS.values()]
    of_other = [cell for cell in cells if cell.domain in others]
    if of_other and data.other_path is not None:
        names = [cell.name for cell in of_other]
        results.check_other(fingerprint_of(data.pictures(config, of_other[0])[0]), names)
    for cell in cells:
        if cell.name in results.cells:
            continue
        if cell.domain in others and data.other_path is None:
            print(f"{cell.name}: left out, --other_path names no {cell.domain}", flush=True)
            continue
        pictures = data.pictures(config, cell)
        results.keep_cell(cell.name, measure(measured.learner, cell, *pictures, plan.tasks))


def _measure_probabilities(
    cells: Sequence[Cell],
    fitted_ways: Sequence[int],
    measured: Opened,
    plan: Plan,
    data: Data,
    results: Results,
) -> None:
    learner, config, steps = measured.learner, measured.run.config, results.steps
    missing = [cell for cell in cells if cell.name not in results.probabilities]
    if not missing:
        return
    fitted = temperature(learner, config, fitted_ways, data, plan, steps)
    for cell in missing:
        asked = ask(
            learner,
            config,
            cell,
            data,
            split="test",
            tasks=plan.tasks,
            strangers=True,
            steps=steps,
        )
        results.keep_probabilities(cell.name, worth(asked, fitted, steps))


def _measure_papers(pretrained: Path, plan: Plan, data: Data, results: Results) -> None:
    for name, experiment in PAPERS.items():
        if name in results.cells or not name.endswith(BEST):
            continue
        config = experiment.config
        cell = Cell(config.num_classes, 1, AS_TRAINED)
        source, change = data.pictures(config, cell)
        learner = build_learner(config, source, evaluation_updates=1, evaluation_mask="mode")
        export = pretrained / f"omniglot-{name}"
        check_learned_on(export, fingerprint_of(source))
        restore_export(learner, export)
        results.keep_cell(name, measure(learner, cell, source, change, plan.tasks))


def _export(measured: Opened, pretrained: Path, steps: int) -> None:
    config = measured.run.config
    model = pretrained / MODELS[config.datasource]
    line = {ORIGIN: origin(config, measured.iteration)}
    export_trained(measured.learner, measured.source, config, model, line, num_updates=steps)
    list_exports(pretrained)
    print("wrote", model)


def check_is_of_this_run(model: Path, learner: MetaLearner) -> None:
    """Refuse to replace a SavedModel of other weights, which may have taken days.

    Args:
        model: its folder, which need not be there.
        learner: with the run's weights.

    Raises:
        UsageError: it has others.
        ExportError: it is damaged.
    """
    if model.exists() and not has_weights(model, learner):
        file = model / EXTRA_FILES / ORIGIN
        line = read_text(file).strip() if file.exists() else "which does not say of what run"
        raise UsageError(
            f"{model} has other weights than this run, {line!r}: name another --pretrained, move "
            "it away, or leave --only's part model out"
        )


def origin(config: Config, iteration: int) -> str:
    """The line that stands beside the model: what it is."""
    return (
        f"{config.method}, for any number of classes and for pictures one at a time, trained on "
        f"{config.num_classes}-way {config.update_batch_size}-shot {config.datasource}, "
        f"{iteration} iterations.\n"
    )
