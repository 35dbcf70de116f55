"""Reading a SavedModel that may be damaged."""

import logging
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from maml_tnet import ExportError, verify_export
from maml_tnet.checksums import CHECKSUMS, UnreadableError
from maml_tnet.patterns import readable_folder
from maml_tnet.saved_model import SIGNATURE
from system.errors import FileError
from system.files import read_bytes
from utils.errors import UsageError, one_line

# What TensorFlow raises for a graph that is damaged; with checksums such a graph is not loaded.
UNLOADABLE = (
    tf.errors.OpError,
    DecodeError,
    OSError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)

_log = logging.getLogger(__name__)


def verify_model(model: Path) -> set[str] | None:
    """The files of a SavedModel that are as they were exported; None if it has no checksums.

    Raises:
        UsageError: one is damaged.
    """
    try:
        return verify_export(model)
    except ExportError as error:
        raise UsageError(f"--model={model}: {error}") from error


def load_model(model: Path, *, has_learned: bool = False) -> Any:
    """Load a SavedModel.

    Args:
        model: its folder.
        has_learned: whether it is of `maml_tnet.adapted`, not of `maml_tnet.export`.

    Raises:
        UsageError: it is damaged, or not what `maml_tnet` writes.
    """
    if verify_model(model) is None:
        _log.warning(
            "%s has no %s, as version 0.2.0 and before wrote none: damage to it may go unnoticed",
            model,
            CHECKSUMS,
        )
    try:
        with readable_folder(model) as folder:
            loaded = tf.saved_model.load(folder)
        inputs = loaded.signatures[SIGNATURE].structured_input_signature[1]
        _ = inputs["images" if has_learned else "support_y"].shape[-1]
    except (PermissionError, tf.errors.PermissionDeniedError, UnreadableError) as error:
        raise UsageError(f"--model={model} cannot be read: {one_line(error)}") from error
    except UNLOADABLE as error:
        raise UsageError(
            f"--model={model} is damaged, or of another program: {one_line(error)}"
        ) from error
    return loaded


def input_shape(model: Path) -> list[int]:
    """The shape of an example of a SavedModel, [height, width, channels] of an image.

    Raises:
        UsageError: its graph is damaged, or not what `maml_tnet` writes.
    """
    try:
        graph = saved_model_pb2.SavedModel.FromString(read_bytes(model / "saved_model.pb"))
        signatures = graph.meta_graphs[0].signature_def
        inputs = signatures[SIGNATURE].inputs
        if "images" in inputs:
            inputs = signatures["answer"].inputs
    except (FileError, DecodeError, IndexError) as error:
        raise UsageError(f"--model={model} is damaged: {one_line(error)}") from error
    shape = inputs["query_x"].tensor_shape.dim
    return [dimension.size for dimension in shape[-3:]]
