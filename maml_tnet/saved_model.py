"""A SavedModel as a folder: written whole or not at all, checked, and with checksums."""

import os
import re
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from maml_tnet.checksums import CHECKSUMS, ChecksumError, UnreadableError, checksums, verify
from maml_tnet.patterns import readable_folder
from maml_tnet.replacing import EXTRA_FILES, not_replaceable

PARITY_TOLERANCE = 1e-4
SIGNATURE = "serving_default"
# So the names begin of what TensorFlow reads, and a file manager does not write, as it does a
# .DS_Store. Assets are read by their names in saved_model.pb.
READ = ("saved_model.", "variables/variables.")
NAMES = re.compile(r"\{\{.*?\}\} | \[Op:\w*\]")  # of operations, in what TensorFlow says


class ExportError(Exception):
    """An export could not be written, or does not do what the model in memory does."""


def check_same(found: tf.Tensor, expected: tf.Tensor, folder: str | os.PathLike[str]) -> None:
    """Raise an `ExportError` if what is to be `folder` does not answer as the model in memory."""
    difference = float(np.max(np.abs(found - expected)))
    if not difference <= PARITY_TOLERANCE * max(1.0, float(np.max(np.abs(expected)))):
        raise ExportError(
            f"the SavedModel predicts differently from the model in memory (by {difference}); "
            f"{folder} was not written"
        )


def write_saved_model(
    module: tf.Module,
    signatures: Mapping[str, Any],
    folder: Path,
    check: Callable[[Mapping[str, Any]], None],
    extra_files: Mapping[str, str] | None = None,
) -> None:
    """Write a SavedModel with checksums, which appears only when it has been loaded and checked.

    Args:
        module: that has the signatures' variables.
        signatures: by name, compiled.
        folder: to write; what an earlier export left there is replaced.
        check: is given the signatures that are loaded; raises an `ExportError` if they are wrong.
        extra_files: name -> text of files to put beside the model, into `assets.extra`.

    Raises:
        ExportError: the folder cannot be written or holds something else than an earlier export, or
            of `check`.
        ValueError: a name in `extra_files` is none of a file.
    """
    for name in extra_files or {}:
        if Path(name).name != name:
            raise ValueError(f"extra_files must be names of files without a folder, got {name!r}")
    folder = Path(os.path.realpath(folder))  # of a link, what it leads to is replaced
    if problem := not_replaceable(folder):
        raise ExportError(f"{folder} {problem}: name a new folder")
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        tf.saved_model.save(
            module,
            str(temporary),
            signatures=dict(signatures),
            options=tf.saved_model.SaveOptions(experimental_custom_gradients=False),
        )
        _forget_gradients(temporary / "saved_model.pb")
        for name, text in (extra_files or {}).items():
            (temporary / EXTRA_FILES).mkdir(exist_ok=True)
            (temporary / EXTRA_FILES / name).write_text(text, encoding="utf-8")
        _list_checksums(temporary)
        with readable_folder(temporary) as readable:
            check(tf.saved_model.load(readable).signatures)
        _replace(folder, temporary)
    except AssertionError as error:  # the graph refers to something that TensorFlow does not know
        raise ExportError(f"cannot save the model as {folder}: {error!s:.200}") from error
    except (OSError, UnreadableError, tf.errors.OpError) as error:
        why = getattr(error, "strerror", None) or NAMES.sub("", str(error).partition("\n")[0])
        raise ExportError(f"cannot write the SavedModel {folder}: {why}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace(folder: Path, new: Path) -> None:
    """Put a folder in the place of another, which is there until then, and back if that fails.

    Raises:
        OSError: it cannot be.
    """
    if not folder.exists():
        new.rename(folder)
        return
    earlier = new.with_suffix(".old")
    folder.rename(earlier)
    try:
        new.rename(folder)
    except OSError:
        earlier.rename(folder)
        raise
    shutil.rmtree(earlier, ignore_errors=True)


def verify_export(folder: str | os.PathLike[str]) -> set[str] | None:
    """Compare the files of a SavedModel with the checksums that `export` wrote.

    Returns:
        the names of the files that have one; None if there are no checksums, as in exports of
        version 0.2.0 and before.

    Raises:
        ExportError: a file is missing or damaged, one cannot be read, or one that TensorFlow reads
            has no checksum.
    """
    folder = Path(folder)
    if not (folder / CHECKSUMS).exists():
        return None
    try:
        names = verify(folder / CHECKSUMS)
    except UnreadableError as error:
        raise ExportError(str(error)) from error
    except ChecksumError as error:
        raise ExportError(f"the SavedModel {folder} is damaged: {error}") from error
    for name in _files(folder):
        if name.startswith(READ) and name not in names:
            raise ExportError(f"the SavedModel {folder} is damaged: {name} has no checksum")
    return names


def _list_checksums(folder: Path) -> None:
    text = checksums(folder, _files(folder))
    (folder / CHECKSUMS).write_text(text, encoding="utf-8", newline="\n")


def _files(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def _forget_gradients(file: Path) -> None:
    """Drop the names of hand-written gradients, which are not exported, from a `saved_model.pb`.

    The signature is not meant to be differentiated, and whoever loads it would be warned of them.
    """
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for graph in model.meta_graphs:
        for function in graph.graph_def.library.function:
            for node in function.node_def:
                node.attr.pop("_gradient_op_type", None)
    file.write_bytes(model.SerializeToString())
