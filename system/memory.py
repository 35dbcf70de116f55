"""How much memory this machine has."""

import os
from pathlib import Path

# What a container may use, where it is told (control groups, version 2).
_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def memory_bytes() -> int | None:
    """The machine's memory or, in a container, what it may use; None where the system hides it."""
    try:
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None
    try:
        limit = _CONTAINER_LIMIT.read_text().strip()
    except OSError:
        return found
    return min(found, int(limit)) if limit.isdecimal() else found
