"""What docs/distribution.md gives to copy: TF_CONFIG by hand, by Slurm and by Kubernetes."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from utils.runs.cluster import Cluster

PAGE = (Path(__file__).parents[1] / "docs" / "distribution.md").read_text()


def fenced(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


def test_the_two_machines_are_workers_0_and_1_of_one_cluster():
    first, second = (Cluster.parse(text) for text in re.findall(r"TF_CONFIG='(.*)'", PAGE))
    assert first.addresses == second.addresses
    assert (first.index, second.index) == (0, 1)


def stand_in(folder, name, text):
    (folder / name).write_text(f"#!/bin/bash\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.mark.skipif(os.name == "nt", reason="a script for bash")
def test_the_slurm_script_gives_every_task_its_index(tmp_path):
    (script,) = fenced("bash")
    stand_in(tmp_path, "scontrol", 'echo "node3"; echo "node7"')
    # As srun does with -K: every task runs the command with its number.
    run_all = 'for i in 0 1; do SLURM_PROCID=$i "${@:2}"; done'
    stand_in(tmp_path, "srun", f'[ "$1" = -K ] || exit 1\n{run_all}')
    stand_in(tmp_path, "python", 'echo $TF_CONFIG; echo "$@"')
    done = subprocess.run(
        ["bash", "-c", script],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_NODELIST": "x"},
        capture_output=True,
        text=True,
        check=True,
    )
    first, first_command, second, second_command = done.stdout.splitlines()
    assert Cluster.parse(first) == Cluster(("node3:2222", "node7:2222"), 0)
    assert Cluster.parse(second) == Cluster(("node3:2222", "node7:2222"), 1)
    assert first_command == second_command
    assert first_command.startswith("main.py --distribute=multiworker ")


def test_the_manifest_names_what_the_operator_looks_for():
    (manifest,) = fenced("yaml")
    assert "\t" not in manifest
    assert all((len(line) - len(line.lstrip())) % 2 == 0 for line in manifest.splitlines())
    # The operator gives TF_CONFIG to the container of this name, with the port of this one.
    for line in ("- name: tensorflow", "- name: tfjob-port", "containerPort: 2222"):
        assert line in manifest
    assert "restartPolicy: ExitCode" in manifest
