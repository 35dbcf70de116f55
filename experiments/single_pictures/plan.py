"""What is measured of a model for single pictures, cell by cell."""

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.single_pictures.domains import AS_TRAINED, DOMAINS, OTHERS

# What --only chooses from, in this order.
PARTS = ("steps", "ways", "domains", "probabilities", "other", "papers", "model")
# How the classes of a task are asked: at least so many queries together, as many of every class.
QUERIES = 10


@dataclass(frozen=True)
class Cell:
    """What is measured at a time.

    Attributes:
        way: classes a task.
        shot: support pictures a class.
        domain: one of `DOMAINS`, or a name of `OTHERS`.
    """

    way: int
    shot: int
    domain: str

    @property
    def name(self) -> str:
        """Its key in the document."""
        return f"{self.way}-way {self.shot}-shot, {self.domain}"

    @property
    def query(self) -> int:
        """Queries a class."""
        return -(-QUERIES // self.way)

    def classes(self, part: str) -> int:
        """The classes that a task of a part draws pictures of: as many are strangers, if any."""
        return 2 * self.way if part == "probabilities" else self.way


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        tasks: held-out tasks of each cell.
        steps: accuracies are taken after 0 to so many inner steps.
        shots: support pictures a class.
        ways: numbers of classes.
        domains: what is done to the pictures, of `DOMAINS`.
        domains_way: classes a task, where domains and numbers of inner steps are compared.
        fitted_ways: of the validation tasks on which the temperature is fitted, as far as there are
            the classes.
    """

    tasks: int
    steps: int = 5
    shots: tuple[int, ...] = (1, 5)
    ways: tuple[int, ...] = (2, 5, 10, 20, 50)
    domains: tuple[str, ...] = tuple(DOMAINS)
    domains_way: int = 5
    fitted_ways: tuple[int, ...] = (5, 20)

    def cells(self, part: str, datasource: str, classes: int) -> list[Cell]:
        """The cells of a part of the results, as far as there are the classes.

        Args:
            part: of `PARTS`.
            datasource: from which the model learned.
            classes: of the split that has the fewest.
        """
        return [cell for cell in self._cells(part, datasource) if cell.classes(part) <= classes]

    def _cells(self, part: str, datasource: str) -> list[Cell]:
        if part in ("ways", "probabilities"):
            return [Cell(way, shot, AS_TRAINED) for way in self.ways for shot in self.shots]
        domains: Sequence[str] = ()
        if part == "steps":
            domains = (AS_TRAINED,)
        elif part == "domains":
            domains = self.domains
        elif part == "other" and datasource in OTHERS:
            domains = OTHERS[datasource][:1]
        return [Cell(self.domains_way, shot, domain) for domain in domains for shot in self.shots]
