"""Ends a worker that waits too long for the others, with a line that says for whom.

TensorFlow waits in its own code, for an hour and with Python's lock in its hands, so only another
process can: `python start_watch.py SECONDS PROCESS ADDRESS ...`. It ends when its input does.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence

ANSWER_WITHIN = 2.0  # seconds


def answers(address: str) -> bool:
    """Whether somebody listens at host:port."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_WITHIN).close()
    except (OSError, ValueError):  # ValueError: no name of a host, such as a..b
        return False
    return True


def silent(addresses: Sequence[str]) -> str:
    """The workers that do not answer, in words; empty if all do."""
    numbered = [f"worker {i} ({a})" for i, a in enumerate(addresses) if not answers(a)]
    return " and ".join(numbered)


def input_ends(seconds: float) -> bool:
    """Wait for the end of the input, so long; on Windows `select` waits for sockets alone."""
    waiting = threading.Thread(target=os.read, args=(sys.stdin.fileno(), 1), daemon=True)
    waiting.start()
    waiting.join(seconds)
    return not waiting.is_alive()


if __name__ == "__main__":
    seconds, process, *addresses = sys.argv[1:]
    if not input_ends(float(seconds)):
        missing = silent(addresses)
        why = f"{missing} cannot be reached" if missing else "another worker is stuck in its start"
        print(
            f"error: the workers have not met within --peer_timeout={seconds} seconds: {why}; "
            "start all of them, and look at what they say",
            file=sys.stderr,
        )
        # TensorFlow may have taken the gentler signals for itself.
        os.kill(int(process), getattr(signal, "SIGKILL", signal.SIGTERM))
