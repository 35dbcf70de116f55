"""Pictures of another kind than those that a network learned from, which --other_path names."""

from data_generators import DataError, TaskSource
from utils.command.configuration import Config
from utils.runs.assembly import build_source


def other_source(config: Config, path: str | None, cache_dir: str) -> TaskSource:
    """The tasks of a configuration from the pictures at `path`.

    Raises:
        DataError: they cannot be used; it names the flag that names them.
    """
    try:
        return build_source(config, path, cache_dir)
    except DataError as error:
        raise DataError(str(error).replace("--data_path", "--other_path")) from error
