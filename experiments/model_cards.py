"""A card for each model below pretrained/: its data, training, accuracy, and what it is not for.

python -m experiments.model_cards

Reads the lines beside the SavedModels below --pretrained and the records below --results, and
writes CARDS.md beside the models. A model whose accuracy is not on record says so. The record of
`images`, a model of one's own images, is looked for in single_pictures/images.
"""

import functools
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import utils.tensorflow_environment  # noqa: F401

import numpy as np
from absl import flags

from experiments import omniglot
from experiments.documents import Document, entry, parsed, read_document
from experiments.experiment import Experiment
from experiments.exports import ORIGIN
from experiments.image_tables import cell
from experiments.miniimagenet import plan as miniimagenet
from experiments.photographs.plan import EXPERIMENTS as OF_PHOTOGRAPHS
from experiments.record import KEYS as OF_RECORDS
from experiments.record import read_record
from experiments.single_pictures.document import KEYS as OF_SINGLE_PICTURES
from experiments.single_pictures.document import check_form
from experiments.single_pictures.domains import AS_TRAINED
from experiments.single_pictures.plan import Cell, Plan
from experiments.single_pictures.steps import chosen_steps
from experiments.tables import percent, versions
from maml_tnet.replacing import EXTRA_FILES
from system.atomic_file import write_text
from system.files import read_text
from utils.command.configuration import Config
from utils.command.exit_code import exit_code
from utils.command.flags import parse
from utils.command.help_flags import define_help
from utils.command.paths import define_path
from utils.errors import UsageError

CARDS = "CARDS.md"
DRAWINGS = (
    "Omniglot (Lake, Salakhutdinov and Tenenbaum, 2015), the 1,100 training characters, each in "
    "four orientations; MIT licence"
)
CALTECH = "Caltech 101 (Li, Andreetto, Ranzato and Perona), 64 training classes; CC BY 4.0"
MINIIMAGENET = (
    "miniImagenet (Vinyals et al., 2016), the 64 training classes of Ravi and Larochelle; its "
    "images are ImageNet's, whose terms allow non-commercial research and education alone"
)
OWN_IMAGES = "images of one's own (`--datasource=images`), on their owner's terms"
TOGETHER = (
    "Pictures one at a time, as queries are answered by the statistics of all of them; other "
    "numbers of classes; {}."
)
ALONE = "{}; telling that a picture is of none of the classes."

PAGE = """# Cards of the models

Written by `python -m experiments.model_cards`. Accuracies are in %, with the 95 % interval over
tasks of held-out classes, of the one network that was trained; masks at their mode, as the models
have them. The weights are this project's and under its licence (MIT); whether the data's terms
allow what you want to do with them is yours to find out.
"""


class Model(NamedTuple):
    """What a card says.

    Attributes:
        folder: its name below pretrained/.
        data: that it was trained on, and its licence.
        trained_with: commit and versions of training, each once.
        accuracy: of held-out classes, and where it stands.
        unsuited: what it is not for.
    """

    folder: str
    data: str
    trained_with: list[str]
    accuracy: str
    unsuited: str

    def card(self, origin: str) -> str:
        """As Markdown, `origin` being the line that stands beside the SavedModel."""
        lines = [
            f"## {self.folder}",
            "",
            origin.strip(),
            "",
            f"- Data: {self.data}.",
            *(f"- Trained with {versions}." for versions in self.trained_with),
            f"- Accuracy: {self.accuracy}.",
            f"- Not for: {self.unsuited}",
        ]
        return "\n".join(lines) + "\n"


def models(results: Path) -> Iterator[Model]:
    """All that may be below pretrained/, as their records below `results` have them.

    Raises:
        FileError: a record is damaged, or something else.
    """
    for experiment in omniglot.EXPERIMENTS.values():
        yield _papers_form(experiment, results, "omniglot", DRAWINGS, "photographs")
    for experiment in OF_PHOTOGRAPHS.values():
        yield _papers_form(experiment, results, "photographs", CALTECH, "drawings")
    for experiment in _of_miniimagenet(results / "miniimagenet"):
        yield _papers_form(experiment, results, "miniimagenet", MINIIMAGENET, "drawings")
    yield _alone("drawings", results, "single_pictures", DRAWINGS, "Photographs")
    yield _alone("photographs", results, "single_pictures/photographs", MINIIMAGENET, "Drawings")
    yield _alone("images", results, "single_pictures/images", OWN_IMAGES, "Images of another kind")


def _of_miniimagenet(records: Path) -> Iterator[Experiment]:
    """The runs of miniImagenet's table, each after as many iterations as its record says."""
    for name in miniimagenet.table(miniimagenet.ITERATIONS).experiments:
        file, iterations = records / f"{name}.json", miniimagenet.ITERATIONS
        if document := read_document(file, OF_RECORDS):
            iterations = parsed(file, functools.partial(_iterations, document))
        yield miniimagenet.table(iterations).experiments[name]


def _iterations(document: Document) -> int:
    return _configuration(document).metatrain_iterations


def _configuration(document: Document) -> Config:
    return Config.from_dict(entry(document, "configuration", dict), "configuration")


def _papers_form(experiment: Experiment, results: Path, part: str, data: str, others: str) -> Model:
    record, config = read_record(experiment, results / part), experiment.config
    found = []
    if record is not None:
        mask = "mode" if config.use_M else "sample"
        tasks = experiment.settings(config.update_batch_size).num_tasks
        found = [f"{config.num_classes}-way {config.update_batch_size}-shot"]
        found += [f"{cell(record, mask=mask)} (all queries together, {tasks} tasks)"]
    return Model(
        f"{part}-{experiment.name}",
        data,
        [] if record is None else _all_versions([record.trained_with, *record.went_on_with]),
        _accuracy(" ".join(found), part),
        TOGETHER.format(others),
    )


def _alone(name: str, results: Path, part: str, data: str, others: str) -> Model:
    accuracy, trained_with = "", []
    for file in sorted((results / part).glob("*.json")):
        document = read_document(file, OF_SINGLE_PICTURES) or {}
        accuracy = parsed(file, functools.partial(_accuracies_alone, document))
        trained_with = parsed(file, functools.partial(_versions_alone, document))
    return Model(
        name,
        data,
        trained_with,
        _accuracy(accuracy, part),
        ALONE.format(others),
    )


def _versions_alone(document: Document) -> list[str]:
    """Of version 0.5.0, which did not note them, none."""
    starts = entry({"trained_with": [], **document}, "trained_with", list)
    return _all_versions([entry({"trained_with": start}, "trained_with", dict) for start in starts])


def _accuracies_alone(document: Document) -> str:
    config = _configuration(document)
    tasks = entry(document, "tasks", int)
    check_form(document, config, Plan(tasks))
    steps = chosen_steps(document.get("validation", {}), config.num_updates)
    measured = []
    for way, shot in ((5, 1), (5, 5), (20, 1)):
        values = document["cells"].get(Cell(way, shot, AS_TRAINED).name)
        if values is not None:
            accuracies = np.array(values["accuracy"])[:, steps]
            measured.append(f"{way}-way {shot}-shot {percent(accuracies)}")
    if not measured:
        return ""
    after = f"{steps} inner step{'s' * (steps != 1)}"
    return f"{', '.join(measured)} (each query alone, {after}, {tasks} tasks)"


def _accuracy(found: str, part: str) -> str:
    return f"{found}, [table](../results/{part}/README.md)" if found else "not measured"


def _all_versions(starts: Iterable[Mapping[str, Any]]) -> list[str]:
    """In words, each once; of those that are not known none."""
    words = "commit {git_commit}, Python {python}, TensorFlow {tensorflow}"
    return list(dict.fromkeys(versions(words, start) for start in starts if start))


def write_cards(pretrained: Path, results: Path) -> None:
    """Write CARDS.md: a card for every SavedModel below `pretrained`.

    Raises:
        UsageError: one of them is of no experiment, or a folder is missing.
        FileError: a record is damaged, or something else.
    """
    for name, folder in (("pretrained", pretrained), ("results", results)):
        if not folder.is_dir():
            raise UsageError(f"--{name}={folder} is no folder")
    known = {model.folder: model for model in models(results)}
    cards = []
    for made in sorted(pretrained.glob(f"*/{EXTRA_FILES}/{ORIGIN}")):
        folder = made.parents[1]
        if folder.name not in known:
            raise UsageError(f"{folder} is of none of the experiments: there is no card for it")
        cards.append(known[folder.name].card(read_text(made)))
    write_text(pretrained / CARDS, "\n".join([PAGE, *cards]))


if __name__ == "__main__":
    define_path("pretrained", "pretrained", "folder of the SavedModels")
    define_path("results", "results", "folder of the records")
    define_help()

    def main() -> None:
        """Write the cards where the flags say."""
        parse(sys.argv)
        write_cards(Path(flags.FLAGS.pretrained), Path(flags.FLAGS.results))
        print("wrote", Path(flags.FLAGS.pretrained) / CARDS)

    sys.exit(exit_code(main))
