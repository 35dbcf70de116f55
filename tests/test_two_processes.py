"""What a whole run of the tests reports when two processes share it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = """
import two_processes
from two_processes import pytest_runtestloop

two_processes.ALL_TESTS = 4
"""
# Waits until another module has been run, which only another process can do.
WAITS = """
import time
from pathlib import Path

def test_other():
    while not Path(__file__).with_name("done").exists():
        time.sleep(0.01)

def test_after():
    pass
"""
ENDS = """
import warnings
from pathlib import Path
import pytest

def test_passes():
    warnings.warn("a word of warning", stacklevel=1)

def test_fails():
    print("what it said")
    assert 1 == 2

@pytest.mark.skip(reason="not today")
def test_skipped():
    pass

def test_ends():
    Path(__file__).with_name("done").touch()
"""
PASSES = "def test_passes(tmp_path): assert not list(tmp_path.iterdir())"


def outcome_of(
    folder: Path, conftest: str = CONFTEST, *flags: str, **modules: str
) -> "subprocess.CompletedProcess[str]":
    """Run modules of tests in a pytest of its own."""
    (folder / "conftest.py").write_text(conftest)
    for name, text in modules.items():
        (folder / f"test_{name}.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *flags, folder],
        env={"PYTHONPATH": str(Path(__file__).parent), "PATH": ""},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_what_either_process_reports_is_shown(tmp_path):
    done = outcome_of(tmp_path, a=WAITS, b=ENDS, c=PASSES, d=PASSES)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search("1 failed, 6 passed, 1 skipped, 1 warning", done.stdout)
    assert "FAILED test_b.py::test_fails - assert 1 == 2" in done.stdout
    assert "what it said" in done.stdout
    assert "UserWarning: a word of warning" in done.stdout
    assert len(re.findall(r"^\S*[.Fs]{8} +\[100%\]$", done.stdout, re.MULTILINE)) == 1


def test_a_process_that_dies_fails_the_run(tmp_path):
    dies = """
import os

FIRST = os.getpid()

def test_passes():
    pass

def test_dies():
    if os.getpid() != FIRST:
        os._exit(7)
"""
    done = outcome_of(tmp_path, a=dies, b=dies, c=dies, d=dies)
    assert done.returncode == pytest.ExitCode.INTERRUPTED, done.stdout + done.stderr
    assert "a process of the tests ended with 7" in done.stdout


def test_a_process_that_has_grown_is_followed_by_another(tmp_path):
    notes = """
import os
from pathlib import Path
import pytest

@pytest.fixture(scope="session")
def ended():
    yield
    Path(__file__).with_name(f"ended-{os.getpid()}").touch()

def test_one(ended):
    pass

def test_notes_its_process(ended):
    Path(__file__).with_suffix(".process").write_text(str(os.getpid()))
"""
    done = outcome_of(
        tmp_path, CONFTEST + "two_processes.GROWN = 0\n", a=notes, b=notes, c=notes, d=notes
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed" in done.stdout
    processes = {file.read_text() for file in tmp_path.glob("*.process")}
    assert len(processes) == 4
    assert {file.name for file in tmp_path.glob("ended-*")} == {f"ended-{p}" for p in processes}


def test_modules_of_folders_can_follow_one_another(tmp_path):
    for folder in ("e", "f"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"test_in_{folder}.py").write_text(PASSES)
        (tmp_path / folder / f"test_also_in_{folder}.py").write_text(PASSES)
    conftest = CONFTEST + "two_processes.PROCESSES = 1\n"
    done = outcome_of(tmp_path, conftest, a=PASSES, b=PASSES, c=PASSES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout


def test_the_first_failure_ends_a_run_that_is_told_so(tmp_path):
    fails = "def test_fails(): assert 1 == 2"
    waits = "import time\ndef test_waits(): time.sleep(100)"
    done = outcome_of(tmp_path, CONFTEST, "-x", a=waits, b=fails, c=PASSES, d=PASSES)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert "stopping after 1 failures" in done.stdout
