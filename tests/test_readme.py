"""README.md and docs/ say what is so: their links, flags, commands and examples.

Of the other pages the links and the names of files.
"""

import importlib.util
import re
import shlex
import shutil

import numpy as np
import program
import pytest
import tensorflow as tf
from absl import flags
from PIL import Image, ImageDraw
from program import ROOT

import main
from data_generators import Sinusoid
from utils.command.configuration import Config
from utils.command.evaluation_flags import evaluation_settings
from utils.command.flags import config_from_flags, define, parse
from utils.command.recipes import SAME_AS_SHOT, recipe

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = ("benchmarks", "pretrained", "results", "tests/fuzz")
LINKING = [
    *PAGES,
    *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md")),
    *(page for folder in FOLDERS for page in sorted((ROOT / folder).rglob("*.md"))),
]
PREDICTION = ("--predict", "--support=MY_CLASSES", "--query=MY_IMAGES")
page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
any_page = pytest.mark.parametrize(
    "page", LINKING, ids=lambda page: page.relative_to(ROOT).as_posix()
)


def fenced(page, language):
    """The code blocks of a page in a language; "" is none."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.M | re.S)


def commands(page):
    """Every command line of a page, in blocks or in the text, as its words."""
    blocks = [block.replace("\\\n", " ") for block in fenced(page, "")]
    outside = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    inline = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", outside)]
    lines = [line for block in blocks for line in block.splitlines()] + inline
    parts = [part.strip() for line in lines for part in line.split("&&")]
    return [shlex.split(part) for part in parts if re.match(r"\S*python ", part)]


def arguments_of_main(page):
    """What follows main.py in every command line of a page."""
    return [words[words.index("main.py") + 1 :] for words in commands(page) if "main.py" in words]


def readme_command(*contained):
    """The arguments of the README's one command of main.py that has these."""
    (found,) = (c for c in arguments_of_main(README) if set(contained) <= set(c))
    return found


def flags_of_main():
    """Every flag of main.py, by name."""
    defined = define(flags.FlagValues())
    return {name: defined[name] for name in defined}


def anchor(heading):
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def table_below(page, heading):
    """The cells of the first table of a section, row by row, without its rule."""
    section = page.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows if "---" not in row[0]]


def as_written(name, value):
    """A value of a recipe in docs/flags.md."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "query_batch_size" and value is SAME_AS_SHOT:
        return "as K"
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_the_readme_is_one_screen_long():
    text = README.read_text()
    lines = text.splitlines()
    assert len(lines) <= 150
    assert max(map(len, lines)) <= 100
    assert len(text.split()) <= 1300


@any_page
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)]+)\)", page.read_text())
    for link in links:
        if "://" in link:
            continue
        path, _, fragment = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if fragment:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
            assert fragment in map(anchor, headings), link


@any_page
def test_modules_and_pages_that_are_named_exist(page):
    for path in re.findall(r"`((?:\w+/)+\w+\.(?:py|md))`", page.read_text()):
        assert (ROOT / path).exists(), path


@page
def test_flags_exist(page):
    known = flags_of_main()
    names = {*known, "help", "flagfile"}
    names |= {f"no{name}" for name, flag in known.items() if flag.boolean}
    for folder in ("experiments", "benchmarks", "tests"):
        for file in (ROOT / folder).rglob("*.py"):
            defined = r'(?:DEFINE_\w+\(\s*"|define_path\(\s*"|add_argument\(\s*"--)(\w+)"'
            names |= set(re.findall(defined, file.read_text()))
    named = re.findall(r"(?<![\w!-])--([A-Za-z]\w*)", page.read_text())
    assert set(named) <= names


def test_the_page_on_flags_has_all():
    text = (ROOT / "docs" / "flags.md").read_text()
    assert set(flags_of_main()) - set(re.findall(r"--(\w+)", text)) == set()


@page
def test_modules_that_are_to_be_run_exist(page):
    for words in commands(page):
        if "-m" in words[:-1]:
            assert importlib.util.find_spec(words[words.index("-m") + 1])


@page
def test_commands_are_understood(page):
    for arguments in arguments_of_main(page):
        if "--help" in arguments:
            continue
        given = define(flags.FlagValues())
        parse(["main.py", *arguments], given)
        evaluation_settings(given, config_from_flags(given))


def test_the_recipes_are_those_of_the_program():
    head, *rows = table_below(ROOT / "docs" / "flags.md", "Recipes")
    columns = {
        "sinusoid, polynomial": [recipe("sinusoid"), recipe("polynomial")],
        "omniglot": [recipe("omniglot", 5)],
        "omniglot, 20-way and more": [recipe("omniglot", 20)],
        "miniimagenet": [recipe("miniimagenet")],
        "images": [recipe("images")],
    }
    assert head == ["flag", *columns]
    shown = {row[0].strip("`-"): row[1:] for row in rows}
    assert set(shown) | {"cooldown"} == set(recipe("sinusoid"))
    for name, cells in shown.items():
        for cell, recipes in zip(cells, columns.values(), strict=True):
            if cell:  # empty where the network has no such thing
                assert {cell} == {as_written(name, values[name]) for values in recipes}, name


def test_the_library_example_learns():
    (example,) = fenced(README, "python")
    names = {}
    exec(compile(example, str(README), "exec"), names)
    learner = names["learner"]
    assert int(learner.optimizer.iterations) == 10_000
    assert names["predictions"].shape == (1, 50, 1)
    tasks = Sinusoid().held_out("test", tf.range(200), shot=10, query=10)
    answer = tf.function(learner.adapt_and_predict, autograph=False)
    before, after = (
        np.mean((answer(*tasks[:3], num_updates=steps) - tasks.query_y) ** 2) for steps in (0, 1)
    )
    assert after < before / 2 < np.mean(tasks.query_y**2) / 2


def test_the_examples_of_the_package_run(tmp_path, monkeypatch):
    """The README's training leaves the SavedModel that docs/package.md loads."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(main, "evaluate_run", lambda *_, **__: None)
    assert program.run(*readme_command("--use_T", "--use_M"), "--metatrain_iterations=20") == 0
    (config,) = tmp_path.glob("logs/*/config.json")
    assert Config.read(config).method == "MT-net"
    with_package, without_package = fenced(ROOT / "docs" / "package.md", "python")
    assert [with_package] == fenced(README, "python")
    assert "maml_tnet" not in without_package
    names = {}
    exec(compile(without_package, "docs/package.md", "exec"), names)
    assert names["predictions"].shape == (1, 50, 1)


def test_the_readme_classifies_own_images(tmp_path, monkeypatch, capsys):
    """Five signs that differ in their slope or their number of strokes, one drawing of each."""
    signs = {
        "bar": [(52, 10, 52, 94)],
        "cross": [(52, 10, 52, 94), (10, 52, 94, 52)],
        "rails": [(30, 10, 30, 94), (74, 10, 74, 94)],
        "roof": [(10, 90, 52, 14), (52, 14, 94, 90)],
        "square": [(20, 20, 84, 20), (84, 20, 84, 84), (84, 84, 20, 84), (20, 84, 20, 20)],
    }
    (tmp_path / "MY_IMAGES").mkdir()
    for name, strokes in signs.items():
        (tmp_path / "MY_CLASSES" / name).mkdir(parents=True)
        for shift, file in ((0, f"MY_CLASSES/{name}/1.png"), (4, f"MY_IMAGES/{name}.png")):
            image = Image.new("L", (105, 105), 255)
            for stroke in strokes:
                ImageDraw.Draw(image).line([place + shift for place in stroke], fill=0, width=4)
            image.save(tmp_path / file)
    command = readme_command(*PREDICTION)
    (model,) = (word.partition("=")[2] for word in command if word.startswith("--model="))
    shutil.copytree(ROOT / model, tmp_path / model)
    monkeypatch.chdir(tmp_path)
    assert program.run(*command) == 0
    answers = re.findall(r"^\| (\w+)\.png +\| (\w+) ", capsys.readouterr().out, re.M)
    assert answers == [(name, name) for name in signs]
    assert (tmp_path / "prediction.png").is_file()
