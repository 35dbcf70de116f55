"""Which part of the repository may import which: each only what lies below it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BELOW = {
    "system": set(),
    "maml_tnet": set(),
    "data_generators": {"system"},
    "utils/tensorflow_environment.py": set(),
    "utils/errors.py": set(),
}
BELOW["utils/command"] = {*BELOW}
BELOW["utils/runs"] = {*BELOW}
BELOW["utils/prediction"] = {*BELOW}
BELOW["utils/reports"] = {*BELOW}
BELOW["benchmarks"] = {*BELOW}
BELOW["experiments"] = {*BELOW} - {"benchmarks"}
BELOW["main.py"] = {*BELOW} - {"benchmarks"}


def part_of(path):
    """The part that a file or module, such as utils/runs/folder, belongs to."""
    parts = [part for part in BELOW if f"{path}/".startswith(f"{part.removesuffix('.py')}/")]
    return parts[0] if parts else None


def imported(file):
    """The paths, without suffix, of our modules that a file imports anywhere."""
    for node in ast.walk(ast.parse(file.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name.replace(".", "/") for name in names)


@pytest.mark.parametrize("part", BELOW)
def test_a_part_imports_only_what_lies_below(part):
    files = [ROOT / part] if part.endswith(".py") else sorted((ROOT / part).rglob("*.py"))
    assert files
    for file in files:
        for path in imported(file):
            assert part_of(path) in {None, part, *BELOW[part]}, f"{file} imports {path}"


def test_every_module_of_the_program_belongs_to_a_part():
    folders = ("system", "maml_tnet", "data_generators", "utils", "experiments", "benchmarks")
    for folder in folders:
        for file in (ROOT / folder).rglob("*.py"):
            path = file.relative_to(ROOT).with_suffix("")
            assert part_of(path) or path == Path("utils/__init__"), file
