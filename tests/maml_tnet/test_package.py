"""What the package may import, and what it offers."""

import ast
from pathlib import Path

import pytest

import maml_tnet

FILES = sorted(Path(maml_tnet.__file__).parent.glob("**/*.py"))


def imported_modules(file):
    """Top-level names of the modules that a file imports anywhere."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield node.module.split(".")[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_method_knows_no_data_and_no_flags(file):
    assert not {"data_generators", "utils", "absl", "main"} & set(imported_modules(file))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_differences_of_the_stacks_are_in_compat_alone(file):
    if file.name == "compat.py":
        return
    modules = set(imported_modules(file))
    assert "tensorflow_addons" not in modules
    assert not {"keras", "tf_keras"} & modules, "Keras is had from TensorFlow"
    names = {
        node.attr
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute)
    }
    assert not {"__version__", "version", "version_info", "legacy"} & names


def test_every_public_name_is_there_and_documented():
    assert len(maml_tnet.__all__) == len(set(maml_tnet.__all__))
    for name in maml_tnet.__all__:
        assert getattr(maml_tnet, name).__doc__, name
