"""What ends the program early."""

import re

SIGPIPE = 13  # the signal of whoever writes to a closed pipe, which Windows lacks


class UsageError(Exception):
    """Bad input; its text is the one line that the user sees."""


class TrainingDiverged(UsageError):  # noqa: N818
    """The meta-loss of an iteration is not finite.

    Attributes:
        iteration: its number; so many iterations were done before it.
    """

    def __init__(self, iteration: int):
        super().__init__(
            f"the meta-loss of iteration {iteration} is not finite: the run stops, its "
            "checkpoints are intact; try a smaller --update_lr or --meta_lr, with --noresume"
        )
        self.iteration = iteration


class PeerLost(UsageError):  # noqa: N818
    """Another process of the run has ended before its time."""


class TrainingInterrupted(Exception):  # noqa: N818  (like KeyboardInterrupt, not an error)
    """A signal stopped training after a checkpoint was saved.

    Attributes:
        signal_number: of SIGINT or SIGTERM.
        iteration: number of iterations done and saved.
    """

    def __init__(self, signal_number: int, iteration: int):
        super().__init__(f"stopped after iteration {iteration}, which is saved")
        self.signal_number = signal_number
        self.iteration = iteration


def one_line(error: BaseException) -> str:
    """What an error of the system or of TensorFlow says, without the names of operations."""
    lines = (getattr(error, "message", None) or str(error)).splitlines() or [type(error).__name__]
    return re.sub(r"\{\{.*?\}\} | \[Op:\w*\]", "", lines[0])
