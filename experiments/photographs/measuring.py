"""The table of photographs, part by part."""

from collections.abc import Sequence

from data_generators.errors import DataError
from experiments.photographs.page import write_readme
from experiments.photographs.plan import TABLE
from experiments.runs import Folders
from utils.errors import UsageError


def do(parts: Sequence[str], folders: Folders) -> None:
    """Finish some parts of the table.

    Args:
        parts: some of `PARTS`.
        folders: of the results.

    Raises:
        UsageError: photographs are needed, and none are named; or see `runs.finish` and
            `finish_baselines`.
        DataError: the photographs are missing or bad.
    """
    try:
        TABLE.finish(parts, folders, write_readme)
    except DataError as error:
        if folders.data_path is not None:
            raise
        raise UsageError(
            "--data_path must name the photographs, those of Caltech 101 as caltech101_84.zip, to "
            "train and to measure what is not measured yet"
        ) from error
