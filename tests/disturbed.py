"""Runs of the program in processes of their own, which stop at named events of their writing.

The processes are forked from one that has imported TensorFlow, whose start is most of what a short
run takes. An event is one thing that a run does to the files of its folder: what Python's audit
hooks report ("open log.csv", "os.rename config.json"), before and after a checkpoint is saved
("before checkpoints/model-50"), the first file of a checkpoint that TensorFlow begins to write
("appears checkpoints/model-50"), and the end of a span of iterations ("trained 47").
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import program
from program import ROOT

import main
from utils.runs.callbacks import SaveOnSignal
from utils.runs.checkpoint_files import CheckpointFolder

AFTER_TRAINING = ("evaluate_run", "export")

SERVER = """
import gc, json, os, sys
import disturbed
gc.collect()
gc.freeze()  # what is imported stays, and is shared
gc.set_threshold(50_000, 20, 20)
for line in sys.stdin:
    children = []
    for request in json.loads(line):
        children.append(os.fork())
        if children[-1] == 0:
            disturbed.serve(**request)
    ends = [os.waitpid(child, 0)[1] for child in children]
    print(json.dumps([os.waitstatus_to_exitcode(end) for end in ends]), flush=True)
"""


def serve(
    arguments: list[str],
    per_epoch: int,
    folder: str,
    output: str,
    number: int | None,
    at: int | str | None,
    environment: dict[str, str],
    left_out: Sequence[str],
) -> None:
    """In the forked process: run `main.py`, with its streams in files, and end.

    Args:
        arguments: the flags.
        per_epoch: iterations between checkpoints.
        folder: of the run, whose events count.
        output: prefix of the files for what is written: .out, .err and .events.
        number: of the signal that the process sends itself, or None.
        at: when: the number of an event of its files, or the name of an event.
        environment: variables to set.
        left_out: what it does not do after training, of `AFTER_TRAINING`.
    """
    os.environ |= environment
    for stream, suffix in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(output + suffix, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    events: list[str] = []

    def strike() -> None:
        if number is not None:
            os.kill(os.getpid(), number)

    def happened(name: str | None) -> None:
        if name is not None:
            events.append(name)
            if at in (len(events), name):
                strike()

    save, span_ended = CheckpointFolder.save, SaveOnSignal.on_train_batch_end

    def noticed_save(folder: CheckpointFolder, number: int, write: Any) -> None:
        name = f"{folder.path.name}/model-{number}"
        happened(f"before {name}")
        save(folder, number, write)
        happened(f"after {name}")

    def noticed_end(callback: SaveOnSignal, batch: int, logs: Any = None) -> None:
        if at == f"trained {int(logs['iteration'])}":
            strike()
        span_ended(callback, batch, logs)

    def watch(prefix: Path) -> None:
        while not any(prefix.parent.glob(f"{prefix.name}[._]*")):
            time.sleep(0.0005)
        strike()

    sys.addaudithook(lambda event, values: happened(event_of(event, values, folder)))
    CheckpointFolder.save = noticed_save
    SaveOnSignal.on_train_batch_end = noticed_end
    if isinstance(at, str) and at.startswith("appears "):
        prefix = Path(folder, at.removeprefix("appears "))
        threading.Thread(target=watch, args=(prefix,), daemon=True).start()

    for name in left_out:
        setattr(main, name, lambda *_, **__: None)
    main.define(main.FLAGS)
    with program.quick(per_epoch):
        code = main.main(["main.py", *arguments])
    Path(output + ".events").write_text(json.dumps(events))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def event_of(event: str, values: Sequence[Any], folder: str) -> str | None:
    """The name of what an audit hook reports, if it changes a file below the folder."""
    if event not in ("open", "os.rename", "os.remove", "os.mkdir"):
        return None
    if event == "open" and not (isinstance(values[1], str) and set(values[1]) & set("wax+")):
        return None
    path = values[1] if event == "os.rename" else values[0]
    if isinstance(path, int) or not Path(path).is_relative_to(folder):
        return None
    return f"{event} {Path(path).relative_to(folder)}"


class Ended(NamedTuple):
    """How a process ended: its exit code, or minus the number of a signal, and what it wrote."""

    code: int
    output: str
    errors: str
    events: list[str]


def ended(code: int, request: dict[str, Any]) -> Ended:
    """How the process of a request ended."""
    texts = (Path(request["output"] + suffix).read_text() for suffix in (".out", ".err"))
    events = Path(request["output"] + ".events")
    return Ended(code, *texts, json.loads(events.read_text()) if events.exists() else [])


class Server:
    """The process that forks; a context manager."""

    def __enter__(self) -> "Server":
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            cwd=ROOT,
            env=os.environ
            | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: Any) -> None:
        self.process.communicate()

    def ask(self, requests: Sequence[dict[str, Any]]) -> list[int]:
        """Run processes side by side to their ends; return their exit codes."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(requests) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@dataclass(frozen=True)
class Disturbed:
    """A run that is stopped and gone on with by the same command.

    Attributes:
        server: of its processes.
        folder: of the run.
        command: the flags.
        per_epoch: iterations between checkpoints.
        left_out: what it does not do after training, of `AFTER_TRAINING`.
    """

    server: Server
    folder: Path
    command: Sequence[str]
    per_epoch: int
    left_out: Sequence[str] = ()

    def go(self, number: int | None = None, at: int | str | None = None) -> Ended:
        """Start the program; it ends by itself or is stopped by a signal at an event."""
        request = self.request("process", number, at)
        (code,) = self.server.ask([request])
        return ended(code, request)

    def request(
        self,
        name: str,
        number: int | None = None,
        at: int | str | None = None,
        environment: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """What the server is asked for to start the program once; see `serve`."""
        output = Path(f"{self.folder}.{name}")
        output.parent.mkdir(parents=True, exist_ok=True)
        return {
            "arguments": list(self.command),
            "per_epoch": self.per_epoch,
            "folder": str(self.folder),
            "output": str(output),
            "number": number,
            "at": at,
            "environment": environment or {},
            "left_out": list(self.left_out),
        }

    def finish(self) -> Ended:
        """Run to the end."""
        ended = self.go()
        assert ended.code == 0, ended.errors
        return ended


def run_of(
    server: Server, name: str, logdir: Path, command: Sequence[str], per_epoch: int
) -> Disturbed:
    """A run of this name below a log folder."""
    return Disturbed(server, logdir / name, (*command, f"--logdir={logdir}"), per_epoch)
