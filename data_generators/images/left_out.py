"""What of a user's data is not used, and why."""

import logging
from collections import Counter
from collections.abc import Mapping

from data_generators.errors import legible

NAMED = 200  # of a kind; whoever has more names the wrong folder, or reads the first ones

_log = logging.getLogger(__name__)


class LeftOut:
    """Names what is left out with its reason, in one line each, and counts it.

    Of very many of a kind the first are named.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, kind: str, line: str) -> None:
        """Say that something is left out.

        Args:
            kind: what it is, in the singular: "image", "class", "folder", ...
            line: its name and the reason.
        """
        self._counts[kind] += 1
        if self._counts[kind] <= NAMED:
            _log.warning("left out: %s", legible(line))
        elif self._counts[kind] == NAMED + 1:
            _log.warning("left out: more of kind %s, which are only counted", kind)

    def add_all(self, kind: str, reasons: Mapping[str, str]) -> None:
        """The same for several: name -> reason."""
        for name, reason in sorted(reasons.items()):
            self.add(kind, f"{kind} {name}: {reason}")

    def say_total(self) -> None:
        """Say how many there were of every kind, if there were any."""
        if self._counts:
            counts = [f"{kind}: {number}" for kind, number in self._counts.items()]
            _log.warning("left out in all: %s", ", ".join(counts))
