"""Short runs on small images, from the folders to the table."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from data_generators import ImageInput
from experiments.baselines.document import baselines_file
from experiments.baselines.plan import TITLES
from experiments.documents import write_document
from experiments.photographs import plan
from experiments.photographs.measuring import do
from experiments.photographs.page import write_readme
from experiments.photographs.plan import EXPERIMENTS
from experiments.record import HELD_OUT_TASKS
from experiments.runs import Folders
from experiments.table3 import Table3
from utils.command import evaluation_flags
from utils.command.recipes import recipe
from utils.errors import UsageError
from utils.prediction.model_input import input_of
from utils.runs import training
from utils.runs.datasets import EVALUATION_BATCH

pytestmark = pytest.mark.usefixtures("two_blocks")

STEPS = 2
SHORT = (
    "--metatrain_iterations=1",
    "--num_filters=2",
    "--meta_batch_size=2",
    "--query_batch_size=1",
    f"--num_updates={STEPS}",
    "--num_test_tasks=4",
)
TABLE = Table3(
    {
        name: replace(experiment, flags=(*experiment.flags, *SHORT))
        for name, experiment in EXPERIMENTS.items()
    },
    replace(plan.TABLE.baselines, test_tasks=4),
)


@pytest.fixture(scope="module")
def folders(coloured_classes, tmp_path_factory):
    root = tmp_path_factory.mktemp("photographs")
    return Folders(
        records=root / "results",
        workdir=root / "runs",
        data_path=str(coloured_classes),
        cache_dir=str(root / "cache"),
        pretrained=root / "models",
        prefix="photographs-",
    )


@pytest.fixture(scope="module", autouse=True)
def short():
    """Measure few tasks after few inner steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation_flags, "EVALUATED_STEPS", STEPS)
        patch.setattr(training, "VALIDATION_TASKS", 4)
        patch.setitem(EVALUATION_BATCH, "miniimagenet", 4)
        yield


def finish(part, folders):
    TABLE.finish([part], folders, write_readme)


@pytest.fixture(scope="module")
def readme(folders):
    """Of one meta-learner that is hardly trained, and of baselines with made-up accuracies."""
    random = np.random.RandomState(0)
    measured = {
        name: {
            "chosen on validation": {"made up": name},
            "accuracy": random.uniform(size=4).tolist(),
        }
        for name, *_ in TABLE.baselines.results
    }
    document = {"held_out_tasks": HELD_OUT_TASKS, "epochs": 1, **measured}
    write_document(baselines_file(folders.records), document)
    finish("maml-1shot", folders)
    return (folders.records / "README.md").read_text()


def test_the_experiments_are_the_recipe_with_fewer_iterations():
    for name, experiment in EXPERIMENTS.items():
        config, settings = experiment.config, experiment.settings(experiment.shots[0])
        shot = experiment.shots[0]
        assert name == f"{config.method.replace('-', '').lower()}-{shot}shot"
        changed = {"metatrain_iterations": 5000, "update_batch_size": shot}
        for field, value in (recipe("miniimagenet") | changed).items():
            assert getattr(config, field) == value
        assert (settings.query, settings.num_tasks, settings.split) == (shot, 600, "test")


def test_the_table_has_the_stored_means(folders, readme):
    rows = {line.split(" | ")[0]: line.split(" | ") for line in readme.splitlines()}
    document = json.loads((folders.records / "maml-1shot.json").read_text())
    (accuracy,) = (
        100 * np.array(e["per_task"])[:, STEPS]
        for e in document["evaluations"]
        if e["settings"]["split"] == "test"
    )
    cell = f"{accuracy.mean():.2f} ± {stats.t.ppf(0.975, 3) * stats.sem(accuracy):.2f}"
    assert rows["| MAML"][1:3] == [cell, ""]
    measured = json.loads((folders.records / "baselines.json").read_text())
    for name, title in TITLES.items():
        for column, shot in ((1, 1), (2, 5)):
            values = 100 * np.array(measured[f"{name}-{shot}shot"]["accuracy"])
            assert len(values) == 4
            assert rows[f"| {title}"][column].startswith(f"{values.mean():.2f} ± ")
            assert f"- {title}, {shot}-shot: made up {name}-{shot}shot" in readme


def test_the_saved_model_takes_photographs(folders, readme):
    model = folders.pretrained / "photographs-maml-1shot"
    assert input_of(model) == ImageInput(84, grey=False, ink_is_one=False)
    assert f"- `{model.name}`: MAML, 5-way 1-shot" in (folders.pretrained / "README.md").read_text()


def test_runs_are_compared_with_the_baselines(folders, readme):
    run = json.loads((folders.records / "maml-1shot.json").read_text())
    baseline = json.loads((folders.records / "baselines.json").read_text())["fine_tuning-1shot"]
    (accuracy,) = (
        np.array(e["per_task"])[:, STEPS]
        for e in run["evaluations"]
        if e["settings"]["split"] == "test"
    )
    mean = 100 * (np.mean(accuracy) - np.mean(baseline["accuracy"]))
    assert f"| maml-1shot - fine_tuning-1shot | {mean:+.2f} ± " in readme


def test_what_is_finished_is_not_mixed_with_other_data(folders, readme, tmp_path):
    other = replace(folders, data_path=str(tmp_path / "other"))
    shutil.copytree(folders.data_path, other.data_path)
    shutil.copy(f"{other.data_path}/test/test0/0.png", f"{other.data_path}/test/test1/0.png")
    with pytest.raises(UsageError, match=r"maml-1shot\.json was measured on other data: give that"):
        finish("maml-1shot", other)
    finish("maml-1shot", folders)
    with pytest.raises(UsageError, match=r"\.json was measured on other data: give that"):
        finish("tnet-1shot", other)


def test_weights_of_a_saved_model_are_measured_on_their_data(folders, readme, tmp_path, capsys):
    elsewhere = replace(folders, records=tmp_path / "results", workdir=tmp_path / "runs")
    other = replace(elsewhere, data_path=str(tmp_path / "data"))
    shutil.copytree(folders.data_path, other.data_path)
    shutil.copy(f"{other.data_path}/test/test0/0.png", f"{other.data_path}/test/test1/0.png")
    model = folders.pretrained / "photographs-maml-1shot"
    with pytest.raises(UsageError, match=f"weights of {model} were learned on other data: give th"):
        finish("maml-1shot", other)
    # Nor would a run on the other data be exported there.
    checkpoints = other.workdir / "maml-1shot/checkpoints"
    checkpoints.mkdir(parents=True)
    with pytest.raises(UsageError, match=f"weights of {model} were learned on other data: give th"):
        finish("maml-1shot", other)
    shutil.rmtree(other.workdir)
    finish("maml-1shot", elsewhere)
    assert f"measuring the weights of {model}; another --pretrained" in capsys.readouterr().out
    found, expected = (
        json.loads((each.records / "maml-1shot.json").read_text()) for each in (elsewhere, folders)
    )
    assert found["evaluations"] == expected["evaluations"]
    assert (elsewhere.records / "README.md").exists()  # of a run without a curve


def test_a_record_of_an_earlier_version_gets_its_data(folders, readme, capsys):
    file = folders.records / "maml-1shot.json"
    content = json.loads(file.read_text())
    earlier = {key: value for key, value in content.items() if key not in ("data", "sha256")}
    file.write_text(json.dumps(earlier))
    for said in (True, False):
        finish("maml-1shot", folders)
        assert ("does not say what data it was measured on" in capsys.readouterr().out) == said
        assert json.loads(file.read_text()) == content


@pytest.mark.parametrize("part", ["baselines", "maml-1shot"])
def test_photographs_must_be_named(folders, tmp_path, part):
    without = replace(folders, records=tmp_path, workdir=tmp_path, data_path=None)
    with pytest.raises(UsageError, match=r"^--data_path must name the photographs, .* Caltech"):
        do([part], without)
