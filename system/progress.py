"""A progress line on the standard error."""

import sys
import time


class Progress:
    """Counts up to `total` on one line of a terminal; elsewhere, a line every quarter.

    Args:
        title: what is going on.
        total: where it ends, or 0 if that is not known.
        unit: what is counted, for example "images".
        after: seconds; what takes less time says nothing.
    """

    def __init__(self, title: str, total: int, unit: str, *, after: float = 0.0):
        self._title, self._total, self._unit = title, total, unit
        self._percents = 1 if sys.stderr.isatty() else 25
        self._shown = -1
        self._begin = time.monotonic() + after
        self._line_open = False

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._line_open:  # An error follows: let it begin a line of its own.
            print(file=sys.stderr, flush=True)

    def update(self, done: int) -> None:
        """Say how many are done."""
        step = 100 * done // self._total // self._percents if self._total else 0
        if step == self._shown or time.monotonic() < self._begin:
            return
        self._shown = step
        of_total = f"/{self._total}" if self._total else ""
        line = f"{self._title}: {done}{of_total} {self._unit}"
        if sys.stderr.isatty():
            self._line_open = done != self._total
            end = "" if self._line_open else "\n"
            print(f"\r{line}", end=end, file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)
