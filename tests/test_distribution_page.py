"""What docs/distribution.md gives to copy: TF_CONFIG by hand, by Slurm and by Kubernetes."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from absl import flags

from utils.command.flags import check_purpose, config_from_flags, define, parse
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


def block(lines):
    """Mappings, lists and scalars of YAML's block style, which is all that the manifest has."""
    indent = len(lines[0]) - len(lines[0].lstrip())
    starts = [i for i, line in enumerate(lines) if len(line) - len(line.lstrip()) == indent]
    entries = [lines[i:j] for i, j in zip(starts, [*starts[1:], len(lines)], strict=True)]
    # A list may stand at the same depth as the name of it.
    if all(entry[0][indent:].startswith("- ") for entry in entries):
        inner = [[" " * (indent + 2) + e[0][indent + 2 :], *e[1:]] for e in entries]
        return [block(e) if is_mapping(e[0]) else scalar(e[0]) for e in inner]
    found = {}
    for entry in entries:
        assert is_mapping(entry[0]), entry
        name, _, value = entry[0].strip().partition(":")
        assert name not in found, f"{name} is there twice"
        assert bool(value) != bool(entry[1:]), entry
        found[name] = scalar(value) if value else block(entry[1:])
    return found


def is_mapping(line):
    return re.match(r"\s*\w+:(\s|$)", line) is not None


def scalar(text):
    text = text.strip()
    assert not set(text) & set("{}[]#&*!|>'\"%@`"), f"{text} is more than block style"
    return int(text) if text.isdigit() else text


# Of the custom resource (kubeflow/training-operator, manifests/base/crds/kubeflow.org_tfjobs.yaml)
# and of Kubernetes' pods, the fields that a manifest for training may use, and their types.
CONTAINER = {
    "name": str,
    "image": str,
    "imagePullPolicy": str,
    "workingDir": str,
    "command": [str],
    "args": [str],
    "ports": [{"name": str, "containerPort": int}],
    "resources": {"limits": dict, "requests": dict},
    "volumeMounts": [{"name": str, "mountPath": str, "readOnly": bool, "subPath": str}],
}
POD = {
    "terminationGracePeriodSeconds": int,
    "containers": [CONTAINER],
    "volumes": [{"name": str, "persistentVolumeClaim": {"claimName": str, "readOnly": bool}}],
    "nodeSelector": dict,
}
REPLICA = {
    "replicas": int,
    "restartPolicy": ("Always", "OnFailure", "Never", "ExitCode"),
    "template": {"metadata": {"labels": dict, "annotations": dict}, "spec": POD},
}
TFJOB = {
    "apiVersion": ("kubeflow.org/v1",),
    "kind": ("TFJob",),
    "metadata": {"name": str, "namespace": str, "labels": dict, "annotations": dict},
    "spec": {
        "runPolicy": {
            "activeDeadlineSeconds": int,
            "backoffLimit": int,
            "cleanPodPolicy": ("All", "Running", "None"),
            "suspend": bool,
            "ttlSecondsAfterFinished": int,
        },
        "successPolicy": ("AllWorkers",),
        "tfReplicaSpecs": {"Chief": REPLICA, "Worker": REPLICA},
    },
}


def check(value, schema, path=""):
    if isinstance(schema, dict):
        assert isinstance(value, dict), path
        for name, inner in value.items():
            assert name in schema, f"{path} has no field {name}"
            check(inner, schema[name], f"{path}.{name}")
    elif isinstance(schema, list):
        assert isinstance(value, list), path
        for inner in value:
            check(inner, schema[0], f"{path}[]")
    elif isinstance(schema, tuple):
        assert value in schema, path
    else:
        assert isinstance(value, schema), path


def manifest():
    (text,) = fenced("yaml")
    return block(text.splitlines())


def test_the_manifest_has_the_fields_of_the_custom_resource():
    check(manifest(), TFJOB)


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        ((), "kind", "TFJobs"),
        (("spec",), "replicaSpecs", {}),
        (("spec", "runPolicy"), "backoffLimit", "many"),
        (("spec", "tfReplicaSpecs", "Worker"), "restartPolicy", "exitCode"),
        (("spec", "tfReplicaSpecs", "Worker", "template", "spec"), "container", []),
    ],
)
def test_another_field_or_value_is_seen(place, name, value):
    changed = manifest()
    inside = changed
    for step in place:
        inside = inside[step]
    inside[name] = value
    with pytest.raises(AssertionError):
        check(changed, TFJOB)


def test_the_operator_finds_its_container_and_its_port_and_volumes_are_there():
    workers = manifest()["spec"]["tfReplicaSpecs"]["Worker"]
    pod = workers["template"]["spec"]
    (container,) = pod["containers"]
    # It gives TF_CONFIG to the container of this name, with the port of this one.
    assert container["name"] == "tensorflow"
    assert container["ports"] == [{"name": "tfjob-port", "containerPort": 2222}]
    assert [m["name"] for m in container["volumeMounts"]] == [v["name"] for v in pod["volumes"]]
    assert container["command"][:3] == ["python", "main.py", "--distribute=multiworker"]
    # Codes from 128 on start a pod again; 143 is what a saved run ends with.
    assert workers["restartPolicy"] == "ExitCode"


def test_tf_config_of_the_operator_is_that_of_the_manifests_workers():
    job = manifest()
    workers = job["spec"]["tfReplicaSpecs"]["Worker"]
    (container,) = workers["template"]["spec"]["containers"]
    (port,) = container["ports"]
    hosts = [f"{job['metadata']['name']}-worker-{i}" for i in range(workers["replicas"])]
    addresses = [f"{host}.default.svc:{port['containerPort']}" for host in hosts]
    for index in range(workers["replicas"]):
        set_by_it = {
            "cluster": {"worker": addresses},
            "task": {"type": "worker", "index": index},
            "environment": "cloud",
        }
        assert Cluster.parse(json.dumps(set_by_it)) == Cluster(tuple(addresses), index)


def test_the_commands_of_the_page_are_the_programs():
    (slurm,) = fenced("bash")
    (container,) = manifest()["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"]
    by_slurm = slurm.partition("python main.py")[2].partition("'")[0]
    as_a_shell = shlex.split(by_slurm.replace("\\\n", "").replace("$HOME", "/home/me"))
    for arguments in (container["command"][2:], as_a_shell):
        flag_values = define(flags.FlagValues())
        parse(["main.py", *arguments], flag_values)
        check_purpose(flag_values)
        assert config_from_flags(flag_values).datasource == "omniglot"
        assert flag_values.distribute == "multiworker"
