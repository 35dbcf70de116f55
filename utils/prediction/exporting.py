"""From a trained learner to its SavedModel."""

from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

from data_generators import TaskSource
from data_generators.errors import reason
from maml_tnet import ExportError, MetaLearner, export
from system.atomic_file import only_writer
from utils.command.configuration import Config
from utils.prediction.model_input import input_file
from utils.runs.optimizers import evaluation_weights


def export_trained(
    learner: MetaLearner,
    source: TaskSource,
    config: Config,
    folder: Path,
    extra_files: Mapping[str, str] | None = None,
    *,
    num_updates: int | None = None,
) -> None:
    """Write the SavedModel, checked on two validation tasks, and how images become its input.

    What an earlier writer of it that was killed has left is removed.

    Args:
        learner: trained with `config`.
        source: of its episodes.
        config: of the run.
        folder: of the SavedModel.
        extra_files: name -> text of files to put beside it.
        num_updates: inner steps that it takes; by default training's.

    Raises:
        ExportError: see `export`.
    """
    episode = source.held_out(
        "val", tf.range(2), shot=config.update_batch_size, query=config.query_batch_size
    )
    files, inputs_of = dict(extra_files or {}), None
    if source.image_input is not None:
        files |= input_file(source.image_input)
        inputs_of = source.image_input.of_pixels
    folder = folder.absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with only_writer(folder), evaluation_weights(learner):
            export(
                learner,
                folder,
                support_x=episode.support_x,
                support_y=episode.support_y,
                query_x=episode.query_x,
                num_updates=num_updates,
                inputs_of=inputs_of,
                extra_files=files,
            )
    except OSError as error:
        raise ExportError(f"cannot write the SavedModel {folder}: {reason(error)}") from error
