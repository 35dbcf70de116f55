"""The whole program on runs of a few iterations, and its command line."""

import json
import re
from dataclasses import replace

import pytest
from absl import flags

from experiments import command
from experiments.experiment import Experiment
from experiments.regression import __main__ as program
from experiments.regression import bounds, figure4, fits, metric, original_tasks, table2
from experiments.regression.baselines import BASELINES, baseline
from experiments.regression.page import check_command
from experiments.regression.plan import ALPHA, METHODS, Plan
from experiments.regression.table2 import ALPHAS
from experiments.runs import Folders
from utils.command.flags import parse
from utils.errors import UsageError
from utils.reports import evaluation
from utils.runs.datasets import EVALUATION_BATCH

TASKS, ITERATIONS = 6, 1
PLAN = Plan(seeds=2, networks=1, iterations=60000)


def test_every_run_has_the_configuration_that_its_name_says():
    experiments = [
        *(e for method in METHODS for alpha in ALPHAS for e in PLAN.sinusoids(method, alpha)),
        *(PLAN.polynomial("MAML", order, 1) for order in (1, 3)),
        *(figure4.network_of(PLAN, s, o, 4) for s in figure4.SCALES for o in figure4.ORDERS),
        *(baseline(PLAN, name, 1) for name in BASELINES),
        *map(bounds.short_run, bounds.SEEDS),
    ]
    by_name = {experiment.name: experiment.config for experiment in experiments}
    assert len(by_name) == len(experiments)
    for name, config in by_name.items():
        assert name.endswith(f"seed{config.seed}")
        assert config.update_batch_size == 10
        if not name.startswith("reduced"):
            assert config.total_iterations == 60000
        if "alpha" in name:
            assert f"alpha{config.update_lr:g}-" in name
        if name.startswith("polynomial"):
            assert name.startswith(f"polynomial{config.poly_order}-")
    assert by_name["sinusoid-metasgd-alpha0.01-seed0"].method == "Meta-SGD"
    assert by_name["sinusoid-oracle-seed1"].method == "oracle"
    assert by_name["sinusoid-pretraining-seed1"].metatrain_iterations == 0


def test_tables_1_and_2_share_runs():
    shared = PLAN.sinusoids("MT-net", ALPHA)
    assert shared == PLAN.sinusoids("MT-net")
    assert ALPHA in ALPHAS


@pytest.fixture(scope="module")
def results(eagerly, tmp_path_factory):
    """What the program leaves that has one seed and few iterations, and its folders."""
    root = tmp_path_factory.mktemp("regression")
    plan = Plan(seeds=1, networks=1, iterations=ITERATIONS)
    folders = Folders(records=root / "results/runs", workdir=root / "work")
    settings = Experiment.settings
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Experiment,
            "settings",
            lambda self, *which: replace(settings(self, *which), num_tasks=TASKS),
        )
        patch.setitem(EVALUATION_BATCH, "sinusoid", TASKS)
        patch.setitem(EVALUATION_BATCH, "polynomial", TASKS)
        patch.setattr(evaluation, "PLOTTED_STEPS", (0, 1, 2))
        patch.setattr(original_tasks, "TASKS", TASKS)
        patch.setattr(metric, "TASKS", TASKS)
        patch.setattr(table2, "ALPHAS", (10.0, ALPHA))
        patch.setattr(figure4, "ORDERS", fits.ORDERS)
        patch.setattr(figure4, "LEARNED", 100.0)
        patch.setattr(bounds, "ITERATIONS", 2)
        patch.setattr(bounds, "SEEDS", (100, 101))
        for part, write in program.PARTS.items():
            text = write(plan, folders, root / "results")
            program.write_text(root / "results" / f"{part}.md", text + "\n")
    program.write_page(
        root / "results", list(program.PARTS), command="the command", iterations=ITERATIONS
    )
    return root / "results"


def test_the_page_has_every_part_and_its_figures(results):
    page = (results / "README.md").read_text()
    assert "Written by `the command`" in page
    headings = re.findall(r"^## (\w+)", page, re.M)
    assert headings == [
        "Table", "Table", "Table", "Figure", "Fits", "Baselines", "Section", "Bounds",
    ]  # fmt: skip
    images = re.findall(r"\]\((.*?)\)", page)
    assert images == ["robustness.png", "figure4.png", "fits.png", "metric.png"]
    for image in images:
        assert (results / image).stat().st_size > 1000
        assert (results / image).with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    assert "± nan" not in page


def test_results_of_two_plans_do_not_come_onto_one_page(tmp_path):
    parts = list(program.PARTS)
    check_command(tmp_path, parts, "the command --seeds=1")
    program.write_page(tmp_path, [], command="the command", iterations=ITERATIONS)
    check_command(tmp_path, parts, "the command")
    with pytest.raises(UsageError, match=r"README\.md was written by 'the command': name another"):
        check_command(tmp_path, parts, "the command --seeds=1")
    (tmp_path / "README.md").unlink()
    (tmp_path / "bounds.md").write_text("## Bounds\n")
    with pytest.raises(UsageError, match=r"README\.md is missing, which says of what plan bounds"):
        check_command(tmp_path, parts, "the command")


def test_every_run_left_a_record(results):
    names = {file.stem for file in (results / "runs").glob("*.json")}
    assert len(names) == 4 + 2 + 1 + 2 * 2 + 2 + 2
    short = json.loads((results / "runs" / "reduced-mtnet-seed101.json").read_text())
    assert short["configuration"]["metatrain_iterations"] == 2


BAD_FLAGS = {
    "--only=table3": "--only must be some of table1,",
    "--seeds=0": "--seeds must be at least 1, got 0",
    "--iterations=x": "--iterations",
    "--sedes=1": "sedes",
}


@pytest.mark.parametrize(("flag", "message"), BAD_FLAGS.items())
def test_bad_flags_are_one_clear_line(monkeypatch, tmp_path, capsys, flag, message):
    values = program.define(flags.FlagValues())
    for module in (command, program):
        monkeypatch.setattr(module, "FLAGS", values)
    monkeypatch.setattr(command, "parse", lambda argv: parse(argv, values))
    arguments = ["regression", f"--output={tmp_path}", flag]
    assert command.main(arguments, program.PARTS, program.do) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert list(tmp_path.iterdir()) == []
