"""What only Linux and macOS have is not needed: simulated where it can be taken away."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = ("system", "maml_tnet", "data_generators", "utils", "experiments", "benchmarks")
# Windows has neither these modules nor these names; it has a module for locks of its own, of which
# here only the name is needed. The libraries are imported first, as theirs is not ours to ask.
AS_ON_WINDOWS = """
import importlib, os, signal, sys, types
import absl.app, matplotlib.figure, numpy, PIL.Image, scipy.stats, tensorflow, zipfile
tensorflow.keras.Model
for name in ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "posix"):
    sys.modules[name] = None
for module, names in ((signal, ("SIGKILL", "SIGHUP", "SIGALRM", "SIGUSR1", "alarm", "pause")),
                      (os, ("getuid", "fork", "mkfifo", "sysconf", "getpgid", "O_NONBLOCK",
                            "sched_getaffinity"))):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
locked = []
sys.modules["msvcrt"] = types.SimpleNamespace(locking=lambda *a: locked.append(a), LK_NBLCK=2)
for name in sys.argv[2:]:
    importlib.import_module(name)
from pathlib import Path
from system.atomic_file import write_text
from system.lock import hold
write_text(Path(sys.argv[1], "file"), "written")
assert hold(Path(sys.argv[1], ".lock"))
assert len(locked) == 2
"""


def test_every_module_of_the_programs_is_imported_and_writes_files_without_them(tmp_path):
    files = [file for part in PARTS for file in sorted((ROOT / part).rglob("*.py"))]
    names = [
        ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for file in files
        if file.name not in ("__init__.py", "__main__.py")
        and file.parent.name != "contestants"  # of frameworks that are not required
    ]
    assert "utils.runs.folder" in names
    done = subprocess.run(
        [sys.executable, "-c", AS_ON_WINDOWS, str(tmp_path), "main", *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "file").read_text() == "written"
