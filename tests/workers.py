"""A run of several worker processes on this machine, which are forked from one (`disturbed`)."""

import json
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from disturbed import Disturbed, Ended, ended


def tf_configs(workers: int) -> list[dict[str, str]]:
    """TF_CONFIG of every worker, with ports that are free now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("", 0))) for _ in range(workers)]
        addresses = [f"localhost:{s.getsockname()[1]}" for s in sockets]
    cluster = {"worker": addresses}
    tasks = [{"type": "worker", "index": i} for i in range(workers)]
    return [{"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})} for task in tasks]


@dataclass(frozen=True)
class Workers:
    """The two workers of a run.

    Attributes:
        run: that they make together, whose command has --distribute=multiworker.
    """

    run: Disturbed

    def go(self, number: int | None = None, at: int | None = None, worker: int = 0) -> list[Ended]:
        """Start both; they end by themselves, or one is stopped by a signal at one of its events.

        An event of the second is a checkpoint that begins or ends, in its own folder.
        """
        stops: Sequence[tuple[Any, Any]] = [
            (number, at) if worker == i else (None, None) for i in range(2)
        ]
        requests = [
            self.run.request(f"worker{i}", *stop, environment)
            for i, (stop, environment) in enumerate(zip(stops, tf_configs(2), strict=True))
        ]
        codes = self.run.server.ask(requests)
        return [ended(code, request) for code, request in zip(codes, requests, strict=True)]

    def finish(self) -> list[Ended]:
        """Run to the end."""
        ends = self.go()
        assert [end.code for end in ends] == [0, 0], ends
        return ends
