"""The package in two worker processes of `tests.library_workers`: nothing differs unsaid."""

import json
import re
import subprocess
import sys

import numpy as np
import program
import pytest


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What came of a scenario on both workers."""
    folder = tmp_path_factory.mktemp("library_workers")
    command = [sys.executable, "-m", "tests.library_workers", str(folder)]
    done = subprocess.run(command, cwd=program.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return lambda scenario, worker=0: json.loads((folder / f"{scenario}-{worker}.json").read_text())


def test_where_one_worker_stops_the_other_says_so(found):
    assert found("stopped", 1)["error"] == "KeyboardInterrupt"
    assert found("stopped", 0)["error"] == "WorkerLostError"
    assert re.fullmatch("the connection to another worker broke: .*", found("stopped")["says"])


@pytest.mark.parametrize("worker", [0, 1])
def test_all_go_on_from_the_first_workers_backup(found, worker):
    """Which has backed up two epochs; the other has stopped before its second backup."""
    expected, resumed = found("undisturbed"), found("resumed", worker)
    assert resumed["epochs"] == [2]
    np.testing.assert_allclose(resumed["loss"], expected["loss"][2:], rtol=1e-5)
    for here, there in zip(resumed["weights"], expected["weights"], strict=True):
        np.testing.assert_allclose(here, there, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("worker", [0, 1])
@pytest.mark.parametrize(
    ("scenario", "said"),
    [
        ("clip", "meta_grad_clip is 0.0 on worker 0 and 0.1 on worker 1"),
        ("seed", r"support_x in iteration 0 \(shape, mean\) is \[.*\] on worker 0 and .*"),
        ("one backup", "the number of BackupAndRestore is 1 on worker 0 and 0 on worker 1"),
    ],
)
def test_what_differs_is_refused_on_both(found, scenario, said, worker):
    here = found(scenario, worker)
    assert here["error"] == "ValueError"
    assert re.fullmatch(f"all workers must train the same, but {said}", here["says"])


def test_a_process_of_several_devices_speaks_once(found):
    assert found("devices") == {
        "of all": [1.0, 2.0],
        "copied": [[1.0, 2.0], 3],
        "difference": None,
    }
