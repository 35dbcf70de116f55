"""Many kills of one run: python -m tests.kills [--kills=100] [--seed=0].

A run is killed at seeded events of its writing (`disturbed`), each time it goes on, and must
end with the weights, the log and the evaluation of one that was left alone. The tests do the same
with a few kills; CONTRIBUTING.md has this command's last result.
"""

import argparse
import random
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import program
from disturbed import Server
from test_kill_and_resume import sinusoid


def main() -> int:
    """Print every kill's event; return 0 if all is as undisturbed."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    with Server() as server, tempfile.TemporaryDirectory() as folder:
        expected = sinusoid(server, Path(folder, "undisturbed"))
        events = expected.finish().events
        runs, kills = 0, 0
        while kills < given.kills:
            run = sinusoid(server, Path(folder, f"killed{runs}"))
            # Near kills, so that many of them fit into one run.
            while kills < given.kills:
                at = draw.randint(1, len(events) // 4)
                ended = run.go(signal.SIGKILL, at)
                if ended.code == 0:
                    break
                kills += 1
                print(f"run {runs}: killed at event {at}", flush=True)
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
