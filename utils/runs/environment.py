"""What a run runs in: command, versions, git commit, machine."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import tensorflow as tf

from maml_tnet.compat import keras_version


def environment() -> dict[str, str | None]:
    """Describe what runs: command, versions, git commit, machine, time."""
    source = Path(__file__).resolve().parent
    # In a hook of git, and in what git starts, GIT_DIR and the like name another repository.
    variables = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
            cwd=source,
            env=variables,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        commit = None
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join([os.path.basename(sys.executable), *sys.argv]),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras_version(),
        "numpy": np.__version__,
        "git_commit": commit,
        "machine": f"{platform.platform()}, {os.cpu_count()} cores",
    }
