"""Many kills: python -m tests.kills [--workers] [--kills=100] [--seed=0].

A run is killed at seeded events of its writing (`disturbed`), each time it goes on, and must
end with the weights, the log and the evaluation of one that was left alone. With --workers it is a
run of two worker processes, of which one is killed, also between two iterations: the other must
end, too, and both are started again. The tests do the same with a few kills; CONTRIBUTING.md and
docs/distribution.md have this command's last results.
"""

import argparse
import random
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import program
from disturbed import Disturbed, Server
from test_distribute import EPOCH, two
from test_kill_and_resume import sinusoid
from workers import Workers

from utils.command.exit_code import TRY_AGAIN


def kill_process(run: Disturbed, near: int, draw: random.Random) -> str | None:
    """Start a run and kill it at an event.

    Args:
        run: to start or go on with.
        near: how many events may come before.
        draw: of the event.

    Returns:
        the event; None if the run ended before it.
    """
    at = draw.randint(1, near)
    return None if run.go(signal.SIGKILL, at).code == 0 else f"event {at}"


def kill_worker(workers: Workers, near: int, draw: random.Random) -> str | None:
    """The same of two workers, one of which is killed."""
    worker = draw.randrange(2)
    done = program.iterations_saved(workers.run.folder)
    own_events = near if worker == 0 else 4
    at = draw.choice([f"trained {done + draw.randint(1, 2 * EPOCH)}", draw.randint(1, own_events)])
    ends = workers.go(signal.SIGKILL, at, worker)
    codes = [end.code for end in ends]
    if codes == [0, 0]:
        return None
    assert not any("Traceback" in end.errors for end in ends), ends
    # A chief that is killed when training and evaluation are done leaves the other nothing to do.
    expected = [-signal.SIGKILL, TRY_AGAIN]
    assert codes in (expected[:: 1 - 2 * worker], [-signal.SIGKILL, 0]), ends
    return f"event {at} of worker {worker}"


def main() -> int:
    """Print every kill's event; return 0 if all is as undisturbed."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills")
    parser.add_argument("--workers", action="store_true")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw = random.Random(given.seed)

    def run_of(folder: Path) -> Disturbed:
        if not given.workers:
            return sinusoid(server, folder)
        return replace(two(server, folder, "--metatrain_iterations=60").run, left_out=())

    with Server() as server, tempfile.TemporaryDirectory() as folder:
        expected = run_of(Path(folder, "undisturbed"))
        first = Workers(expected).finish()[0] if given.workers else expected.finish()
        runs, kills = 0, 0
        while kills < given.kills:
            run = run_of(Path(folder, f"killed{runs}"))
            # Near kills, so that many of them fit into one run.
            near = len(first.events) // 4
            while kills < given.kills:
                if given.workers:
                    event = kill_worker(Workers(run), near, draw)
                else:
                    event = kill_process(run, near, draw)
                if event is None:
                    break
                kills += 1
                print(f"run {runs}: killed at {event}", flush=True)
            if given.workers:
                Workers(run).finish()
            else:
                run.finish()
            program.assert_same_checkpoint(
                program.newest(run.folder / "checkpoints"),
                program.newest(expected.folder / "checkpoints"),
            )
            for file in ("log.csv", "evaluation/test-5shot.csv"):
                assert (run.folder / file).read_bytes() == (expected.folder / file).read_bytes()
            runs += 1
    print(f"{kills} kills of {runs} runs, seed {given.seed}: every run ended as an undisturbed one")
    return 0


if __name__ == "__main__":
    sys.exit(main())
