"""Locks, each way that a system has them; who holds one is a process of its own."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from system.lock import hold, let_go

# A stand-in for Windows' module on this system: its locks belong to the open file and raise what
# Windows raises. `fcntl` itself is hidden from the program.
AS_ON_WINDOWS = """
import fcntl, sys, types
def locking(descriptor, mode, count):
    assert (mode, count) == (2, 1)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(13, "Permission denied") from None
sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
sys.modules["fcntl"] = None
"""
HOLD = """
import sys
from pathlib import Path
from system import lock
assert lock.hold(Path(sys.argv[1]))
assert lock.hold(Path(sys.argv[1])), "asked again by the process that has it"
print("held", flush=True)
sys.stdin.read()
"""
TRY = """
import sys
from pathlib import Path
from system import lock
with lock.exclusive(Path(sys.argv[1]), wait=False) as held:
    print(held, lock.hold(Path(sys.argv[1])) if not held else None)
"""
SYSTEMS = {"here": "", "windows": AS_ON_WINDOWS}


def start(code, path):
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_lock_is_one_process_s_until_it_is_killed(tmp_path, system):
    path = tmp_path / ".lock"
    with start(SYSTEMS[system] + HOLD, path) as holder:
        assert holder.stdout.readline() == "held\n"
        with start(SYSTEMS[system] + TRY, path) as other:
            assert other.communicate()[0] == "False False\n"
        holder.kill()
    with start(SYSTEMS[system] + TRY, path) as other:
        assert other.communicate()[0] == "True None\n"
    assert not path.exists()


COUNT = """
import sys
from pathlib import Path
from system.lock import exclusive
file = Path(sys.argv[1])
for _ in range(30):
    with exclusive(file.with_name(".lock")):
        number = int(file.read_text())
        file.write_text("")
        file.write_text(str(number + 1))
"""


def test_of_two_that_wait_for_each_other_none_comes_between(tmp_path):
    (tmp_path / "count").write_text("0")
    both = [start(COUNT, tmp_path / "count") for _ in range(2)]
    for process in both:
        process.communicate()
        assert process.returncode == 0
    assert (tmp_path / "count").read_text() == "60"
    assert [entry.name for entry in tmp_path.iterdir()] == ["count"]


def test_a_folder_that_was_moved_away_does_not_hold_its_successor(tmp_path):
    (tmp_path / "run").mkdir()
    assert hold(tmp_path / "run" / ".lock")
    (tmp_path / "run").rename(tmp_path / "run.old")
    (tmp_path / "run").mkdir()
    assert hold(tmp_path / "run" / ".lock")
    with start(TRY, tmp_path / "run" / ".lock") as other:
        assert other.communicate()[0] == "False False\n"


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of Windows are others")
def test_a_lock_may_be_written_by_whom_the_umask_lets(tmp_path):
    before = os.umask(0o002)
    try:
        assert hold(tmp_path / "lock")
    finally:
        os.umask(before)
        let_go(tmp_path / "lock")
    assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o664
