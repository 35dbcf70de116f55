"""A SavedModel that learns a support set and classifies other images."""

import logging
from pathlib import Path

import numpy as np
import tensorflow as tf

from utils.errors import UsageError, one_line
from utils.prediction.loading import load_signature
from utils.prediction.predictions import Predictions
from utils.prediction.tasks import ImageTask

# Images are normalized together with those that are classified at the same time; of many, so many
# at a time, which also bounds the memory.
QUERIES_AT_ONCE = 100

_log = logging.getLogger(__name__)


def find_model(path: str | None) -> Path:
    """Return the SavedModel that --model names, itself or as the run that exported it.

    Raises:
        UsageError: there is none.
    """
    if path is None:
        raise UsageError("--predict needs --model: a SavedModel, or the folder of a trained run")
    for folder in (Path(path), Path(path, "saved_model")):
        if (folder / "saved_model.pb").is_file():
            return folder
    if Path(path, "config.json").is_file():
        raise UsageError(
            f"--model={path} is a run without a SavedModel: train it to its end, or evaluate it "
            f"with --notrain --export_dir={path}/saved_model"
        )
    raise UsageError(f"--model={path} is neither a SavedModel nor the folder of a trained run")


def _check_way(model: Path, task: ImageTask, way: int) -> None:
    """Warn of the paper's form, for a fixed number of classes, and of another number raise."""
    if len(task.classes) != way:
        raise UsageError(
            f"--model={model} tells {way} classes apart, the support set has "
            f"{len(task.classes)}: {', '.join(task.classes)}; a model that is trained with "
            "--queries=alone takes any number of classes"
        )
    _log.warning(
        "%s has the paper's form: by its batch normalization, if any, queries are answered by "
        "the statistics of all of them, and one alone, or few of one class, badly; train with "
        "--queries=alone for those",
        model,
    )


def predict(model: Path, task: ImageTask) -> Predictions:
    """Adapt a SavedModel to a task's support images and classify its queries.

    More than `QUERIES_AT_ONCE` are classified in parts of equal size.

    Raises:
        UsageError: the model is damaged, for another number of classes, or not for images of this
            shape.
    """
    signature = load_signature(model)
    inputs = signature.structured_input_signature[1]
    way = inputs["support_y"].shape[-1]
    if way is None:  # as many as there are
        way = len(task.classes)
    else:
        _check_way(model, task, way)
    shape = task.query_x.shape[1:]
    if tuple(inputs["support_x"].shape[2:]) != shape:
        raise UsageError(
            f"--model={model} takes images of {inputs['support_x'].shape[2:]}, got {shape}"
        )
    parts = -(-len(task.query_x) // QUERIES_AT_ONCE)
    try:
        answers = [
            signature(
                support_x=tf.constant(task.support_x[np.newaxis]),
                support_y=tf.one_hot(task.support_labels[np.newaxis], way),
                query_x=tf.constant(part[np.newaxis]),
            )["predictions"].numpy()[0]
            for part in np.array_split(task.query_x, parts)
        ]
    except tf.errors.OpError as error:
        raise UsageError(f"--model={model} does not answer: {one_line(error)}") from error
    probabilities = np.concatenate(answers)
    if not np.all(np.isfinite(probabilities)):
        raise UsageError(f"--model={model} answers with values that are no probabilities")
    return Predictions(task, probabilities)
