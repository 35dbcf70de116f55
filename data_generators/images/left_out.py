"""What of a user's data is not used, and why."""

import logging
from collections import Counter
from collections.abc import Mapping

from data_generators.errors import legible

_log = logging.getLogger(__name__)


class LeftOut:
    """Names everything that is left out with its reason, in one line each, and counts it."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, kind: str, line: str) -> None:
        """Say that something is left out.

        Args:
            kind: what it is, in the singular: "image", "class", "folder", ...
            line: its name and the reason.
        """
        self._counts[kind] += 1
        _log.warning("left out: %s", legible(line))

    def add_all(self, kind: str, reasons: Mapping[str, str]) -> None:
        """The same for several: name -> reason."""
        for name, reason in sorted(reasons.items()):
            self.add(kind, f"{kind} {name}: {reason}")

    def say_total(self) -> None:
        """Say how many there were of every kind, if there were any."""
        if self._counts:
            counts = [f"{kind}: {number}" for kind, number in self._counts.items()]
            _log.warning("left out in all: %s", ", ".join(counts))
