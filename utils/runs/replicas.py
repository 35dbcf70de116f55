"""The replicas over which a run is shared out, and the processes that they are in.

The first process, the chief, alone reads and writes the run's folder. The others have one that
goes away at their end.
"""

import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from maml_tnet import processes
from maml_tnet.processes import Processes, WorkerLostError
from utils.errors import PeerLost, TrainingInterrupted, UsageError, one_line
from utils.runs import start_watch
from utils.runs.cluster import VARIABLE, Cluster
from utils.runs.folder import Run
from utils.runs.start_watch import silent

# What is raised in a process that waits for one that has ended.
LOST = (
    *processes.LOST,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    WorkerLostError,
)


class Replicas:
    """The replicas of a run.

    What has a value for every process must be called by all of them in the same order.

    Args:
        strategy: that has them; None for one replica without a strategy.
        cluster: of the processes, if they are several.
        folder: for the run of a process that is not the chief.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy | None = None,
        cluster: Cluster | None = None,
        folder: str = "",
    ):
        self.strategy = strategy
        self._cluster = cluster
        self._folder = folder

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what the run leaves."""
        return self._cluster is None or self._cluster.index == 0

    @property
    def count(self) -> int:
        """How many replicas all processes have together."""
        return 1 if self.strategy is None else self.strategy.num_replicas_in_sync

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """In which a learner of these replicas is made."""
        return contextlib.nullcontext() if self.strategy is None else self.strategy.scope()

    def own_run(self, run: Run) -> Run:
        """The run itself for the chief; for others one in a folder that goes away."""
        return run if self.is_chief else Run(Path(self._folder, run.folder.name), run.config)

    def check_shares(self, meta_batch_size: int) -> None:
        """Raise a UsageError unless a meta-batch can be shared out evenly."""
        if meta_batch_size % self.count:
            raise UsageError(
                f"--meta_batch_size={meta_batch_size} cannot be shared out evenly over "
                f"{self.count} replicas: give a multiple of {self.count}"
            )

    def check_same(self, what: str, values: dict[str, Any]) -> None:
        """Raise a UsageError, in all processes, unless all have the same values.

        Args:
            what: they are, for the message.
            values: by name, as JSON has them.
        """
        if self._processes is not None and (found := self._processes.difference(values)):
            raise UsageError(f"all workers must have the same {what}, but {found}")

    def any(self, here: bool) -> bool:
        """Whether something is so in any process."""
        if self._processes is None:
            return here
        return bool(self._processes.of_all([float(here)]).any())

    def copy_from_chief(self, variables: Sequence[tf.Variable]) -> None:
        """Give variables the values that they have in the chief."""
        if self._processes is not None:
            self._processes.copy_from_chief(variables)

    def wait(self) -> None:
        """Until all processes are here."""
        if self._processes is not None:
            self._processes.wait()

    @functools.cached_property
    def _processes(self) -> Processes | None:
        return None if self._cluster is None else Processes(self.strategy)


ALONE = Replicas()


@contextlib.contextmanager
def started(distribute: str | None, timeout: float) -> Iterator[Replicas]:
    """Start, or join, the replicas of a run; at the end wait for the other processes.

    To be entered before TensorFlow is used: it talks to others from its start or not at all.

    Args:
        distribute: "mirrored", all devices of this process; "multiworker", those of all processes
            that TF_CONFIG names; or None.
        timeout: seconds within which all processes must have met.

    Raises:
        UsageError: TF_CONFIG is missing or wrong, or its port is taken.
        PeerLost: another process has ended before its time.
    """
    if distribute is None:
        yield ALONE
    elif distribute == "mirrored":
        yield Replicas(tf.distribute.MirroredStrategy())
    else:
        cluster = Cluster.parse(os.environ.get(VARIABLE))
        with contextlib.ExitStack() as stack:
            folder = ""
            if cluster.index:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="maml_tnet-worker"))
                print(f"worker {cluster.index}: what there is to see, worker 0 shows", flush=True)
                nowhere = stack.enter_context(open(os.devnull, "w"))
                stack.enter_context(contextlib.redirect_stdout(nowhere))
            replicas = Replicas(None, cluster, folder)
            try:
                replicas.strategy = _met(cluster, timeout)
                try:
                    yield replicas
                except TrainingInterrupted:
                    replicas.wait()
                    raise
                replicas.wait()
            except LOST as error:
                raise PeerLost(_who_is_lost(cluster, error)) from error


def _met(cluster: Cluster, timeout: float) -> tf.distribute.Strategy:
    """The strategy of all processes, once they have met."""
    try:
        with socket.create_server(("", cluster.port)):
            pass
    except OSError as error:
        raise UsageError(
            f"{VARIABLE} gives this worker port {cluster.port}, on which it cannot listen: "
            f"{os.strerror(error.errno or 0)}"
        ) from error
    command = [sys.executable, start_watch.__file__, f"{timeout:g}", str(os.getpid())]
    watch = subprocess.Popen([*command, *cluster.addresses], stdin=subprocess.PIPE)
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        # TensorFlow has taken it and does nothing with it.
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        # Nothing is exchanged before the first exchange.
        Replicas(strategy, cluster).any(False)
    finally:
        watch.communicate()
    return strategy


def _who_is_lost(cluster: Cluster, error: Exception) -> str:
    gone = silent(cluster.addresses)
    who = f"{gone} cannot be reached any more"
    if not gone:  # or was started again meanwhile
        who = f"the connection to another worker broke ({one_line(error.__cause__ or error)})"
    return (
        f"{who}: see what it said last; all workers started again with the same command go on "
        "from the last checkpoint"
    )
