"""A run of all tests in two processes, as tracing and compiling keep one core busy each.

The second is forked when the tests are collected, before TensorFlow starts its threads. Both take
the next module from a pipe; what the second reports, the first shows as its own.
"""

import os
import pickle
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, NoReturn

import pytest

ALL_TESTS = 50  # modules: fewer are soon done in one process


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
    # First those of whole programs, which start others: a process grows with what it compiles.
    modules.sort(key=lambda items: items[0].path.parent != config.rootpath / "tests")
    if (
        len(modules) < ALL_TESTS
        or sys.platform != "linux"
        or len(os.sched_getaffinity(0)) < 2
        or config.option.usepdb
        or config.option.collectonly
        or session.testsfailed
    ):
        return None
    basetemp = config._tmp_path_factory.getbasetemp()  # one for both
    reports = basetemp / "reports"
    queue, numbers = os.pipe()
    os.write(numbers, bytes(range(len(modules))))
    os.close(numbers)
    # What a process captures goes through files, which the two must not share.
    capture = config.pluginmanager.getplugin("capturemanager")
    capture.stop_global_capturing()
    second = os.fork()
    capture.start_global_capturing()
    capture.suspend_global_capture()
    tests = _taken(queue, modules)
    if second == 0:
        _report_to(reports, session, tests)
    shown = _Shown(session, reports)
    try:
        for _ in _run(session, tests):
            shown.show_more()
        while (ended := os.waitpid(second, os.WNOHANG)) == (0, 0):
            time.sleep(0.1)
            shown.show_more()
        second = 0
        shown.show_more()
        if ended[1] != 0:
            code = os.waitstatus_to_exitcode(ended[1])
            raise session.Interrupted(f"the second process of the tests ended with {code}")
    finally:
        shown.file.close()
        if second:
            os.kill(second, 9)
            os.waitpid(second, 0)
    return True


def _taken(queue: int, modules: list[list[pytest.Item]]) -> Iterator[pytest.Item]:
    """The tests that this process takes, module by module."""
    while number := os.read(queue, 1):
        yield from modules[number[0]]


def _run(session: pytest.Session, tests: Iterator[pytest.Item]) -> Iterator[None]:
    """Run tests, as pytest's own loop does."""
    item = next(tests, None)
    while item is not None:
        following = next(tests, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        yield
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        item = following


def _report_to(file: Path, session: pytest.Session, tests: Iterator[pytest.Item]) -> NoReturn:
    """In the second process: run tests, write what there is to report, and end."""
    config = session.config
    config.pluginmanager.unregister(name="terminalreporter")
    first = os.getppid()
    code = 1
    try:
        with file.open("ab", buffering=0) as to:
            config.pluginmanager.register(_Reporter(config, to))
            for _ in _run(session, tests):
                if os.getppid() != first:  # which was killed
                    os._exit(code)
        code = 0
    except session.Failed:  # a report says so
        code = 0
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    os._exit(code)


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
    """What the second process has reported, given to pytest's hooks in the first."""

    def __init__(self, session: pytest.Session, file: Path):
        self.session = session
        file.touch()
        self.file = file.open("rb")

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
