"""A run of several worker processes on this machine, which are forked from one (`disturbed`)."""

import json
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from disturbed import Disturbed, Ended, ended

from utils.command.exit_code import TRY_AGAIN

ATTEMPTS = 3


def tf_configs(workers: int) -> list[dict[str, str]]:
    """TF_CONFIG of every worker, with ports that are free now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("", 0))) for _ in range(workers)]
        addresses = [f"localhost:{s.getsockname()[1]}" for s in sockets]
    cluster = {"worker": addresses}
    tasks = [{"type": "worker", "index": i} for i in range(workers)]
    return [{"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})} for task in tasks]


def together(
    runs: Sequence[Disturbed], stops: Sequence[tuple[Any, Any]] = ((None, None),) * 2
) -> list[Ended]:
    """Start two runs as the two workers of one; each ends by itself or by a signal at an event."""
    requests = [
        run.request(f"worker{i}", *stop, environment)
        for i, (run, stop, environment) in enumerate(zip(runs, stops, tf_configs(2), strict=True))
    ]
    codes = runs[0].server.ask(requests)
    return [ended(code, request) for code, request in zip(codes, requests, strict=True)]


@dataclass(frozen=True)
class Workers:
    """The two workers of a run.

    Attributes:
        run: that they make together, whose command has --distribute=multiworker.
    """

    run: Disturbed

    def go(
        self, number: int | None = None, at: int | str | None = None, worker: int = 0
    ) -> list[Ended]:
        """Start both; they end by themselves, or one is stopped by a signal at one of its events.

        A numbered event of the second is a checkpoint that begins or ends, in its own folder. On a
        machine that was paused for ten seconds both take each other for lost: they start again.
        """
        for _ in range(ATTEMPTS):
            ends = self._once(number, at, worker)
            if [end.code for end in ends] != [TRY_AGAIN, TRY_AGAIN]:
                break
        return ends

    def _once(self, number: int | None, at: int | str | None, worker: int) -> list[Ended]:
        stops: list[tuple[Any, Any]] = [(None, None), (None, None)]
        stops[worker] = number, at
        return together([self.run, self.run], stops)

    def finish(self) -> list[Ended]:
        """Run to the end."""
        ends = self.go()
        assert [end.code for end in ends] == [0, 0], ends
        return ends
