"""SavedModel export: a program without this package learns a support set and answers queries."""

import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from maml_tnet.checksums import CHECKSUMS, ChecksumError, checksums, verify
from maml_tnet.compat import tf_variable
from maml_tnet.meta_learner import MetaLearner
from maml_tnet.replacing import EXTRA_FILES, not_replaceable

PARITY_TOLERANCE = 1e-4


class ExportError(Exception):
    """An export could not be written, or does not do what the model in memory does."""


def export(
    meta_learner: MetaLearner,
    folder: str | os.PathLike[str],
    *,
    support_x: tf.Tensor,
    support_y: tf.Tensor,
    query_x: tf.Tensor,
    num_updates: int | None = None,
    extra_files: Mapping[str, str] | None = None,
) -> None:
    """Write a SavedModel whose default signature adapts and predicts, and check it.

    The signature takes `support_x` [tasks, support, ...], `support_y` [tasks, support, outputs]
    (regression targets or one-hot labels) and `query_x` [tasks, queries, ...], any numbers of
    tasks, support examples and queries, for a `PrototypeConvNet` also of classes, and returns
    {"predictions": [tasks, queries, outputs]}: regression values or class probabilities. Masks are
    at their mode, so it is deterministic.

    The folder appears under its name only when the SavedModel has been loaded again and gave the
    same predictions for the examples given here as the model in memory. Its file `SHA256SUMS`
    lists the others' checksums: see `verify_export`.

    Args:
        meta_learner: trained.
        folder: to write; what an earlier export left there is replaced.
        support_x: examples to check the export with, which also fix the shape of an input.
        support_y: their targets.
        query_x: queries to check it with.
        num_updates: inner steps to take; by default as many as in training.
        extra_files: name -> text of files to put beside the model, into `assets.extra`.

    Raises:
        ExportError: the folder cannot be written or holds something else than an earlier export, or
            the predictions differ.
    """
    folder = Path(folder)
    if problem := not_replaceable(folder):
        raise ExportError(f"{folder} {problem}: name a new folder")
    steps = meta_learner.num_updates if num_updates is None else num_updates
    dtype = meta_learner.network.dtype
    inputs = [None, None, *support_x.shape[2:]]
    targets = [None, None, *support_y.shape[2:]]
    if getattr(meta_learner.network, "outputs_per_example", 0) is None:
        targets[-1] = None  # for any number of classes

    @tf.function(
        input_signature=[
            tf.TensorSpec(inputs, dtype, "support_x"),
            tf.TensorSpec(targets, dtype, "support_y"),
            tf.TensorSpec(inputs, dtype, "query_x"),
        ]
    )
    def adapt_and_predict(
        support_x: tf.Tensor, support_y: tf.Tensor, query_x: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        return {"predictions": meta_learner.adapt_and_predict(support_x, support_y, query_x, steps)}

    # Only the variables: Keras would otherwise add its own description of the whole model.
    module = tf.Module()
    module.parameters = [tf_variable(v) for v in meta_learner.trainable_variables]
    module.adapt_and_predict = adapt_and_predict
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        tf.saved_model.save(
            module,
            str(temporary),
            signatures=adapt_and_predict,
            options=tf.saved_model.SaveOptions(experimental_custom_gradients=False),
        )
        _forget_gradients(temporary / "saved_model.pb")
        for name, text in (extra_files or {}).items():
            (temporary / EXTRA_FILES).mkdir(exist_ok=True)
            (temporary / EXTRA_FILES / name).write_text(text, encoding="utf-8")
        _list_checksums(temporary)
        # Compiled, too: many inner steps amplify the rounding in which eager execution differs.
        expected = adapt_and_predict(support_x, support_y, query_x)["predictions"]
        exported = tf.saved_model.load(str(temporary)).signatures["serving_default"](
            support_x=support_x, support_y=support_y, query_x=query_x
        )["predictions"]
        difference = float(np.max(np.abs(exported - expected)))
        if not difference <= PARITY_TOLERANCE * max(1.0, float(np.max(np.abs(expected)))):
            raise ExportError(
                f"the SavedModel predicts differently from the model in memory (by {difference}); "
                f"{folder} was not written"
            )
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    except (OSError, tf.errors.OpError) as error:
        raise ExportError(f"cannot write the SavedModel {folder}: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def verify_export(folder: str | os.PathLike[str]) -> set[str] | None:
    """Compare the files of a SavedModel with the checksums that `export` wrote.

    Returns:
        the names of the files that have one; None if there are no checksums, as in exports of
        version 0.2.0 and before.

    Raises:
        ExportError: a file is missing or damaged, or one that TensorFlow reads has no checksum.
    """
    folder = Path(folder)
    if not (folder / CHECKSUMS).exists():
        return None
    try:
        names = verify(folder / CHECKSUMS)
    except ChecksumError as error:
        raise ExportError(f"the SavedModel {folder} is damaged: {error}") from error
    for name in _files(folder):
        if name.startswith(("saved_model.", "variables/", "assets/")) and name not in names:
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
