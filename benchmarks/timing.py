"""Alternating measurement: A B C A B C ..., medians, ratios pair by pair."""

import math
import statistics
from dataclasses import dataclass, field

from benchmarks.worker_client import Worker

MOST_ITERATIONS = 50_000


@dataclass
class Timing:
    """What was measured of one contestant.

    Attributes:
        label: of the contestant.
        iterations: meta-iterations a sample.
        samples: milliseconds per meta-iteration, one for each round.
        peak_mb: largest resident memory of its process; None where it is not measured.
        first_ms: of the first meta-iteration, compilation included.
    """

    label: str
    iterations: int
    first_ms: float
    peak_mb: float | None
    samples: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Milliseconds per meta-iteration."""
        return statistics.median(self.samples)


def measure(workers: list[Worker], *, repeats: int, seconds: float) -> list[Timing]:
    """Time workers in turn, round after round.

    Args:
        workers: ready, with their batches.
        repeats: rounds.
        seconds: the least that a sample lasts, by which its number of iterations is chosen.
    """
    timings = []
    for worker in workers:
        first = worker.run(1)["milliseconds"]
        worker.run(2)
        # Twice: the second estimate is of a warm program and spans of a sensible length.
        iterations = _iterations(worker.run(2)["milliseconds"], seconds / 4)
        iterations = _iterations(worker.run(iterations)["milliseconds"], seconds)
        # Some programs compile for each new number of iterations.
        peak = worker.run(iterations)["peak_mb"]
        timings.append(Timing(worker.label, iterations, first, peak))
    for _ in range(repeats):
        for worker, timing in zip(workers, timings, strict=True):
            result = worker.run(timing.iterations)
            timing.samples.append(result["milliseconds"])
            peaks = [peak for peak in (timing.peak_mb, result["peak_mb"]) if peak is not None]
            timing.peak_mb = max(peaks, default=None)
    return timings


def _iterations(milliseconds: float, seconds: float) -> int:
    return min(max(math.ceil(1000 * seconds / milliseconds), 2), MOST_ITERATIONS)


def pairwise_ratio(timing: Timing, reference: Timing) -> float:
    """The median over the rounds of how many times as long as `reference` it took."""
    pairs = zip(timing.samples, reference.samples, strict=True)
    return statistics.median(sample / base for sample, base in pairs)
