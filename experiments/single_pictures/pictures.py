"""Where the pictures of a cell come from, and what is done to them."""

from dataclasses import dataclass, replace

from data_generators import TaskSource
from experiments.other_data import other_source
from experiments.single_pictures.domains import DOMAINS, OTHERS, Change, seen_by
from experiments.single_pictures.plan import Cell
from utils.command.configuration import Config
from utils.runs.assembly import build_source


@dataclass(frozen=True)
class Data:
    """Where pictures are.

    Attributes:
        path: folder or archive of those that a run learned from; None for those that can be
            downloaded.
        cache_dir: for the resized ones.
        other_path: of the other kind's, see `OTHERS`.
    """

    path: str | None
    cache_dir: str
    other_path: str | None = None

    def source(self, config: Config, way: int, shot: int) -> TaskSource:
        """A run's own pictures, in tasks of another size."""
        return build_source(_of_size(config, way, shot), self.path, self.cache_dir)

    def pictures(self, config: Config, cell: Cell) -> tuple[TaskSource, Change]:
        """The source of a cell's pictures, and what is done to them for the run's network.

        Those of the other kind are of `other_path`, which must not be None.
        """
        own = self.source(config, cell.way, cell.shot)
        if cell.domain in DOMAINS:
            return own, DOMAINS[cell.domain]
        _, datasource = OTHERS[config.datasource]
        other_config = replace(config, datasource=datasource, num_train_classes=-1)
        sized = _of_size(other_config, cell.way, cell.shot)
        other = other_source(sized, self.other_path, self.cache_dir)
        return other, seen_by(own.image_input, other.image_input)


def _of_size(config: Config, way: int, shot: int) -> Config:
    return replace(config, num_classes=way, update_batch_size=shot)
