"""A run of all tests in two processes, as tracing and compiling keep one core busy each.

Both are forked when the tests are collected, before TensorFlow starts its threads, and take the
next module from a pipe; what they report, this process shows. TensorFlow keeps something of all
that it ever compiled: a process that has grown ends after its module, and a fresh one follows it.
"""

import os
import pickle
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

ALL_TESTS = 50  # modules: fewer are soon done in one process
PROCESSES = 2
GROWN = 1_200_000_000  # bytes; with TensorFlow imported a process begins with a quarter of it
FOLLOWED = 3  # exit code of a process that has grown


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[Any]:
    """Refuse a module that starts TensorFlow's threads, which a forked process would lack."""
    started = _tensorflow_has_started()
    report = yield
    if _tensorflow_has_started() and not started and report.passed:
        report.outcome = "failed"
        report.longrepr = "it computes with TensorFlow when it is imported: do so in a test"
    return report


def _tensorflow_has_started() -> bool:
    context = sys.modules.get("tensorflow.python.eager.context")
    return context is not None and context.context()._context_handle is not None


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the tests, where two processes are of use; else leave it to pytest."""
    modules = [list(items) for _, items in groupby(session.items, lambda item: item.path)]
    config = session.config
    # First those of whole programs, which take the longest.
    modules.sort(key=lambda items: items[0].path.parent != config.rootpath / "tests")
    if (
        len(modules) < ALL_TESTS
        or sys.platform != "linux"
        or len(os.sched_getaffinity(0)) < PROCESSES
        or config.option.usepdb
        or config.option.collectonly
        or session.testsfailed
    ):
        return None
    queue, numbers = os.pipe()
    os.write(numbers, bytes(range(len(modules))))
    os.close(numbers)
    shown = _Shown(session, config._tmp_path_factory.getbasetemp() / "reports")  # one for all
    # What a process captures goes through files, which no two must share.
    capture = config.pluginmanager.getplugin("capturemanager")
    capture.stop_global_capturing()
    running: set[int] = set()
    try:
        running |= {_forked(session, shown.path, queue, modules) for _ in range(PROCESSES)}
        while running:
            time.sleep(0.1)
            ended = {pid: code for pid in running if (code := _exit_code(pid)) is not None}
            running -= ended.keys()
            shown.show_more()
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
            for code in ended.values():
                if code == FOLLOWED:
                    running.add(_forked(session, shown.path, queue, modules))
                elif code != 0:
                    raise session.Interrupted(f"a process of the tests ended with {code}")
    finally:
        for pid in running:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        shown.file.close()
        capture.start_global_capturing()
        capture.suspend_global_capture()
    return True


def _exit_code(pid: int) -> int | None:
    """How a process ended, if it did."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _forked(
    session: pytest.Session, reports: Path, queue: int, modules: list[list[pytest.Item]]
) -> int:
    """Start a process that takes modules, runs them and reports; its number."""
    first = os.getpid()
    if pid := os.fork():
        return pid
    code = 1
    try:
        capture = session.config.pluginmanager.getplugin("capturemanager")
        capture.start_global_capturing()
        capture.suspend_global_capture()
        session.config.pluginmanager.unregister(name="terminalreporter")
        with reports.open("ab", buffering=0) as to:
            session.config.pluginmanager.register(_Reporter(session.config, to))
            code = _run(session, queue, modules, first)
            session._setupstate.teardown_exact(None)
    except session.Failed:  # a report says so
        code = 0
    except KeyboardInterrupt:  # the first process has it, too
        pass
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    os._exit(code)


def _run(session: pytest.Session, queue: int, modules: list[list[pytest.Item]], first: int) -> int:
    """Run modules, as pytest's own loop does, as long as the first process is there."""
    while number := os.read(queue, 1):
        items = modules[number[0]]
        # All but the session ends with the last of them, whatever module comes next.
        for item, following in zip(items, [*items[1:], session], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
            if os.getppid() != first:
                raise KeyboardInterrupt
        if _memory() > GROWN:
            return FOLLOWED
    return 0


def _memory() -> int:
    """Bytes that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class _Reporter:
    """Writes each report as a length and a pickled pair (kind, what a hook of pytest takes)."""

    def __init__(self, config: pytest.Config, to: Any):
        self.config = config
        self.to = to

    def write(self, kind: str, values: dict[str, Any]) -> None:
        content = pickle.dumps((kind, values))
        self.to.write(len(content).to_bytes(8, "big") + content)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        to_data = self.config.hook.pytest_report_to_serializable
        self.write("report", to_data(config=self.config, report=report))

    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, when: str, nodeid: str, location: Any
    ) -> None:
        told = warning_message
        self.write(
            "warning",
            {
                "warning_message": warnings.WarningMessage(
                    str(told.message), told.category, told.filename, told.lineno
                ),
                "when": when,
                "nodeid": nodeid,
                "location": location,
            },
        )


class _Shown:
    """What the processes have reported, given to pytest's hooks in the first."""

    def __init__(self, session: pytest.Session, path: Path):
        self.session = session
        self.path = path
        path.touch()
        self.file = path.open("rb")

    def show_more(self) -> None:
        hook = self.session.config.hook
        while True:
            start = self.file.tell()
            length = int.from_bytes(self.file.read(8), "big")
            content = self.file.read(length)
            if not length or len(content) < length:  # not yet written whole
                self.file.seek(start)
                return
            kind, values = pickle.loads(content)
            if kind == "warning":
                hook.pytest_warning_recorded.call_historic(kwargs=values)
            else:
                report = hook.pytest_report_from_serializable(
                    config=self.session.config, data=values
                )
                hook.pytest_runtest_logreport(report=report)
