"""The wheel that `pip install .` makes: its files, what it requires, and that it works alone."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, PathDistribution, version
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12")
# Tasks are lines through the origin. One compiled meta-iteration, then what the checkout alone has.
PROGRAM = """
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow import keras

import maml_tnet
from maml_tnet import MetaLearner, Regressor, losses


class Lines(NamedTuple):
    support_x: tf.Tensor
    support_y: tf.Tensor
    query_x: tf.Tensor
    query_y: tf.Tensor


def lines(iteration):
    x = tf.random.stateless_uniform([2, 10, 1], tf.stack([0, iteration]), -1.0, 1.0)
    y = tf.constant([[[2.0]], [[-1.0]]]) * x
    return Lines(x[:, :5], y[:, :5], x[:, 5:], y[:, 5:])


learner = MetaLearner(
    Regressor(dim_hidden=8, use_transform=True, mask_per="unit"),
    sample_episode=lines,
    update_lr=0.01,
    num_updates=1,
)
learner.compile(keras.optimizers.SGD(0.1), loss=losses.squared_error)
before = [variable.numpy() for variable in learner.network.initial_weights]
history = learner.fit(tf.data.Dataset.from_tensor_slices(([0], [1])), verbose=0).history
after = [variable.numpy() for variable in learner.network.initial_weights]
# W starts so close to 0 that the network answers 0: the loss is the mean square of the targets.
np.testing.assert_allclose(history["pre_loss"], np.mean(lines(0).support_y**2), rtol=1e-3)
assert np.isfinite(history["loss"]).all()
assert any((a != b).any() for a, b in zip(after, before, strict=True))
print(maml_tnet.__file__)
try:
    import utils
except ModuleNotFoundError as error:
    print(error)
"""


def tracked_files(folder: str = ".") -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("which files belong to the project is git's to say, and this is no checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", folder], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [name for name in listed.split("\0") if (ROOT / name).is_file()]


def setuptools_is_there() -> bool:
    [needed] = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    try:
        return version("setuptools") in Requirement(needed).specifier
    except PackageNotFoundError:
        return False


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel built of the tracked files, so that nothing else that lies here gets into it."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in tracked_files():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", f"--wheel-dir={target}", "."]
    if setuptools_is_there():
        command.append("--no-build-isolation")
    built = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    [file] = target.iterdir()
    return file


@pytest.fixture(scope="module")
def unpacked(wheel, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def distribution(unpacked) -> PathDistribution:
    [folder] = unpacked.glob("*.dist-info")
    return PathDistribution(folder)


def test_the_package_is_all_that_is_in_it(wheel):
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == set(tracked_files("maml_tnet"))
    assert {"maml_tnet/py.typed", "maml_tnet/kernels/parts.py"} <= names


def test_version_licence_and_python_are_said(distribution):
    metadata = distribution.metadata
    newest = re.search(r"^## \[(.*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert metadata["Version"] == newest[1]
    assert metadata["License-Expression"] == "MIT"
    assert distribution.read_text("licenses/LICENSE") == (ROOT / "LICENSE").read_text()
    assert metadata["Requires-Python"] == f">={PYTHONS[0]}"


def applicable(lines: list[str], python: str, extra: str = "") -> set[tuple[str, str]]:
    """Name and versions of the requirements that hold for a Python and an extra."""
    requirements = [Requirement(line) for line in lines]
    environment = {"python_version": python, "extra": extra}
    return {
        (requirement.name, str(requirement.specifier))
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate(environment)
    }


@pytest.mark.parametrize("python", PYTHONS)
def test_requires_what_it_imports_as_requirements_txt_has_it(unpacked, distribution, python):
    imported = set()
    for file in unpacked.glob("maml_tnet/**/*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.split(".")[0])
    imported -= {"maml_tnet", *sys.stdlib_module_names}
    optional = {"tensorflow_addons"}

    lines = (ROOT / "requirements.txt").read_text().splitlines()
    ours = applicable([line for line in lines if line and line[0] != "#"], python)

    def of(modules: set[str]) -> set[tuple[str, str]]:
        return {r for r in ours if r[0].replace("-", "_") in modules}

    requires = distribution.requires
    assert applicable(requires, python) == of(imported - optional)
    assert applicable(requires, python, extra="addons") == of(imported)


def test_works_with_own_episodes_where_the_checkout_is_not(unpacked, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(unpacked), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        str(unpacked / "maml_tnet/__init__.py"),
        "No module named 'utils'",
    ]
