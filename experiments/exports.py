"""The SavedModels of finished runs, each with a line beside it that says how it was made."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from data_generators import TaskSource
from experiments.experiment import Experiment
from maml_tnet import MetaLearner, verify_export
from maml_tnet.compat import tf_variable
from maml_tnet.patterns import readable_prefix
from maml_tnet.replacing import EXTRA_FILES
from system.atomic_file import write_text
from system.errors import FileError
from system.files import read_text
from system.json_file import read_object
from utils.errors import UsageError
from utils.prediction.exporting import export_trained

# Below a SavedModel's `EXTRA_FILES`: its line, and the fingerprint of the images it learned from.
ORIGIN, DATA = "README.md", "data.json"

LIST = """# Pretrained models

Each folder is a SavedModel that classifies your own images. `--support` has a folder of images for
each class: N folders for an N-way model, any number where that is said.

```
python main.py --predict --model=pretrained/NAME --support=DIR --query=DIR
```

Instead of `--support` and `--query`, `--datasource=omniglot`, or for photographs
`--datasource=miniimagenet --data_path=FILE`, takes a task of the held-out test split. What follows
is how each was trained; `photographs-...` with photographs of Caltech 101 in miniImagenet's place.
[CARDS.md](CARDS.md) has the data of each, its accuracy, and what it is not for.

"""


def origin(experiment: Experiment) -> str:
    """The line that stands beside a SavedModel: how it was made."""
    config = experiment.config
    return (
        f"{config.method}, {config.num_classes}-way {config.update_batch_size}-shot "
        f"{config.datasource}: `python main.py {' '.join(experiment.flags)}`, "
        f"{config.total_iterations} iterations.\n"
    )


def is_export_of(experiment: Experiment, folder: Path) -> bool:
    """Whether a folder has the SavedModel of this experiment, as its line says."""
    try:
        return read_text(folder / EXTRA_FILES / ORIGIN) == origin(experiment)
    except FileError:
        return False


def export_with_origin(
    learner: MetaLearner, source: TaskSource, experiment: Experiment, folder: Path
) -> None:
    """Write the SavedModel with its line and its data, and the list of all lines beside it.

    Args:
        learner: at the end of its training.
        source: of its tasks.
        experiment: that it was trained by.
        folder: of the SavedModel.
    """
    files = {ORIGIN: origin(experiment)}
    if record := source.data_record:
        files[DATA] = json.dumps({"fingerprint": record.fingerprint}) + "\n"
    export_trained(learner, source, experiment.config, folder, files)
    list_exports(folder.parent)


def check_learned_on(export: Path, data: str | None) -> None:
    """Refuse a SavedModel that was learned on other data.

    Its weights are not measured on these, and those that are learned on these would not take its
    place.

    Raises:
        UsageError: it was.
    """
    if _learned_on(export) not in (None, data):
        raise UsageError(
            f"the weights of {export} were learned on other data: give that data, or another "
            "--pretrained, so that they are learned on this"
        )


def say_whose_weights(export: Path) -> None:
    """Say that weights of a SavedModel are measured."""
    unknown = "" if _learned_on(export) else ", which does not say what data they were learned on"
    print(f"measuring the weights of {export}{unknown}; another --pretrained has them trained")


def _learned_on(export: Path) -> str | None:
    """Fingerprint of the data that a SavedModel was learned on; None if it does not say."""
    file = export / EXTRA_FILES / DATA
    return read_object(file).get("fingerprint") if file.exists() else None


def restore_export(learner: MetaLearner, export: Path) -> None:
    """Give a learner the weights that stand in its SavedModel.

    Raises:
        UsageError: it is damaged, or of another network.
        ExportError: it is damaged.
    """
    weights = _weights(export, len(learner.trainable_variables))
    try:
        for variable, value in zip(learner.trainable_variables, weights, strict=True):
            tf_variable(variable).assign(value)
    except ValueError as error:
        raise UsageError(f"{export} does not hold the weights of its run: {error}") from error


def check_has_weights(export: Path, learner: MetaLearner) -> None:
    """Refuse a SavedModel whose line says a run that has other weights.

    What is measured then would stand beside it as if it were its.

    Raises:
        UsageError: it has other weights, or is damaged.
        ExportError: it is damaged.
    """
    if not has_weights(export, learner):
        raise UsageError(
            f"{export} says that it is of this run, and has other weights: name another "
            "--pretrained, or another --workdir, and its own weights are measured"
        )


def has_weights(export: Path, learner: MetaLearner) -> bool:
    """Whether a SavedModel has a learner's weights.

    Raises:
        UsageError: it is damaged, or of another network.
        ExportError: it is damaged.
    """
    weights = _weights(export, len(learner.trainable_variables))
    pairs = zip(weights, learner.trainable_variables, strict=True)
    return all(np.array_equal(one, tf_variable(other).numpy()) for one, other in pairs)


def _weights(export: Path, number: int) -> list[np.ndarray]:
    verify_export(export)
    try:
        with readable_prefix(str(export / "variables" / "variables")) as files:
            reader = tf.train.load_checkpoint(files)
            names = [f"parameters/{i}/.ATTRIBUTES/VARIABLE_VALUE" for i in range(number)]
            return [reader.get_tensor(name) for name in names]
    except (tf.errors.OpError, ValueError, IndexError) as error:
        raise UsageError(f"{export} does not hold the weights of its run: {error}") from error


def list_exports(folder: Path) -> None:
    """Write README.md: the line of each SavedModel below the folder."""
    lines = [
        f"- `{made.parents[1].name}`: {read_text(made).strip()}\n"
        for made in sorted(folder.glob(f"*/{EXTRA_FILES}/{ORIGIN}"))
    ]
    write_text(folder / "README.md", LIST + "".join(lines))
