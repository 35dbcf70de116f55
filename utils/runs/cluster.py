"""Who takes part in a run on several machines, as the environment variable TF_CONFIG says it."""

import json
import re
from dataclasses import dataclass
from typing import Any, Self

from utils.errors import UsageError

VARIABLE = "TF_CONFIG"
EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
)
# In this order workers are counted.
JOBS = ("chief", "worker")
_ADDRESS = re.compile(r"(?:[\w.-]+|\[?[\w:.%]+\]?):(?P<port>\d{1,5})", re.ASCII)


@dataclass(frozen=True)
class Cluster:
    """The processes of a run.

    Attributes:
        addresses: host:port of each worker; the first one is the chief.
        index: which of them this process is.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def port(self) -> int:
        """On which this process listens."""
        return int(self.addresses[self.index].rpartition(":")[2])

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Read the value of TF_CONFIG.

        Raises:
            UsageError: there is none, or it describes no cluster of workers.
        """
        if not text:
            raise UsageError(
                f"--distribute=multiworker needs the environment variable {VARIABLE}, on every "
                f"worker with its own index, such as {EXAMPLE}"
            )
        try:
            config = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _refused("is not JSON", text) from error
        cluster, task = (_member(config, name, text) for name in ("cluster", "task"))
        if not cluster or not set(cluster) <= set(JOBS):
            raise _refused(f'must have no jobs but {" and ".join(JOBS)} in "cluster"', text)
        for job, addresses in cluster.items():
            if not (isinstance(addresses, list) and addresses and all(map(_is_address, addresses))):
                raise _refused(f'must have a list of host:port as "{job}"', text)
        if len(cluster.get("chief", [])) > 1:
            raise _refused("must have one chief at most", text)
        addresses = [address for job in JOBS for address in cluster.get(job, [])]
        if len(set(addresses)) < len(addresses):
            raise _refused("must give every worker an address of its own", text)
        kind, index = task.get("type"), task.get("index")
        if not isinstance(kind, str) or kind not in cluster:
            raise _refused(f'must have {" or ".join(cluster)} as "type" of its "task"', text)
        last = len(cluster[kind]) - 1
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index <= last:
            raise _refused(f'must have 0 to {last} as "index" of its "task"', text)
        return cls(tuple(addresses), addresses.index(cluster[kind][index]))


def _member(config: Any, name: str, text: str) -> dict[str, Any]:
    value = config.get(name) if isinstance(config, dict) else None
    if not isinstance(value, dict):
        raise _refused(f'must be an object with "{name}", an object', text)
    return value


def _is_address(value: Any) -> bool:
    match = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    return match is not None and 0 < int(match["port"]) < 2**16


def _refused(why: str, text: str) -> UsageError:
    shown = text if len(text) <= 200 else f"{text[:200]}..."
    return UsageError(f"{VARIABLE} {why}, got {shown!r}; right is such as {EXAMPLE}")
