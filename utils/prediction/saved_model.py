"""A SavedModel that learns a support set and classifies other images."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from maml_tnet.saved_model import SIGNATURE
from utils.errors import UsageError, one_line
from utils.prediction.loading import load_model
from utils.prediction.predictions import Predictions
from utils.prediction.tasks import Queries, SupportSet

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


def check_way(model: Path, loaded: Any, classes: list[str]) -> int:
    """The number of classes, if the model takes so many; of the paper's form warn.

    Args:
        model: its folder.
        loaded: what is there.
        classes: to tell apart.

    Raises:
        UsageError: it is for another number.
    """
    way = loaded.signatures[SIGNATURE].structured_input_signature[1]["support_y"].shape[-1]
    if way is None:  # as many as there are
        return len(classes)
    if len(classes) != way:
        raise UsageError(
            f"--model={model} tells {way} classes apart, the support set has "
            f"{len(classes)}: {', '.join(classes)}; a model that is trained with "
            "--queries=alone takes any number of classes"
        )
    _log.warning(
        "%s has the paper's form: by its batch normalization, if any, queries are answered by "
        "the statistics of all of them, and one alone, or few of one class, badly; train with "
        "--queries=alone for those",
        model,
    )
    return way


def predict(model: Path, support: SupportSet, queries: Queries) -> Predictions:
    """Adapt a SavedModel to a support set and classify queries.

    More than `QUERIES_AT_ONCE` are classified in parts of equal size.

    Raises:
        UsageError: the model is damaged, for another number of classes, or not for images of this
            shape.
    """
    loaded = load_model(model)
    way = check_way(model, loaded, support.classes)
    signature = loaded.signatures[SIGNATURE]
    support_x = tf.constant(support.x[np.newaxis])
    support_y = tf.one_hot(support.labels[np.newaxis], way)

    def answer(x: np.ndarray) -> np.ndarray:
        return signature(
            support_x=support_x, support_y=support_y, query_x=tf.constant(x[np.newaxis])
        )["predictions"].numpy()[0]

    return _predictions(model, signature, answer, support.classes, queries)


def predict_learned(model: Path, classes: list[str], queries: Queries) -> Predictions:
    """Classify queries with a SavedModel that has learned its classes.

    Args:
        model: its folder.
        classes: their names.
        queries: to classify.

    Raises:
        UsageError: the model is damaged, or not for images of this shape.
    """
    signature = load_model(model, has_learned=True).signatures["answer"]

    def answer(x: np.ndarray) -> np.ndarray:
        return signature(query_x=tf.constant(x))["predictions"].numpy()

    return _predictions(model, signature, answer, classes, queries)


def _predictions(
    model: Path,
    signature: Any,
    answer: Callable[[np.ndarray], np.ndarray],
    classes: list[str],
    queries: Queries,
) -> Predictions:
    """Ask part by part, and check the answers."""
    shape = queries.x.shape[1:]
    takes = signature.structured_input_signature[1]["query_x"].shape[-3:]
    if tuple(takes) != shape:
        raise UsageError(f"--model={model} takes images of {takes}, got {shape}")
    parts = -(-len(queries.x) // QUERIES_AT_ONCE)
    try:
        answers = [answer(part) for part in np.array_split(queries.x, parts)]
    except tf.errors.OpError as error:
        raise UsageError(f"--model={model} does not answer: {one_line(error)}") from error
    probabilities = np.concatenate(answers)
    if not np.all(np.isfinite(probabilities)) or probabilities.shape[1] != len(classes):
        raise UsageError(f"--model={model} answers with values that are no probabilities")
    return Predictions(classes, queries, probabilities)
