"""Short runs on small images, from the folders to the table."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from data_generators import ImageInput
from experiments import baselines, photographs
from experiments.runs import Folders
from system.errors import FileError
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
SHORTENED = {
    name: replace(experiment, flags=(*experiment.flags, *SHORT))
    for name, experiment in photographs.EXPERIMENTS.items()
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Six classes a split, of one colour each, with some noise."""
    root = tmp_path_factory.mktemp("photographs")
    random = np.random.RandomState(0)
    for split in ("train", "val", "test"):
        for label in range(6):
            folder = root / "data" / split / f"{split}{label}"
            folder.mkdir(parents=True)
            color = random.uniform(0, 255, size=3)
            for number in range(16):
                pixels = color + random.normal(scale=60, size=[84, 84, 3])
                image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
                image.save(folder / f"{number}.png")
    return Folders(
        records=root / "results",
        workdir=root / "runs",
        data_path=str(root / "data"),
        cache_dir=str(root / "cache"),
        pretrained=root / "models",
        prefix="photographs-",
    )


def kept(folders):
    """The folder of what the baselines have done."""
    (folder,) = folders.workdir.glob("baselines-*")
    return folder


def without_checksum(document):
    return {name: value for name, value in document.items() if name != "sha256"}


def shorten(patch):
    """Hardly train, and measure few tasks after few inner steps."""
    patch.setattr(evaluation_flags, "EVALUATED_STEPS", STEPS)
    patch.setattr(photographs, "EXPERIMENTS", SHORTENED)
    patch.setattr(photographs, "STEP_SIZES", (0.01, 0.1))
    patch.setattr(baselines, "STEPS", (2, 5))
    patch.setattr(photographs, "EPOCHS", 1)
    patch.setattr(photographs, "VALIDATION_TASKS", 4)
    patch.setattr(training, "VALIDATION_TASKS", 4)
    patch.setitem(EVALUATION_BATCH, "miniimagenet", 4)
    patch.setattr(photographs, "TEST_TASKS", 4)


@pytest.fixture(scope="module")
def readme(folders):
    """Of one meta-learner and the baselines, all hardly trained."""
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        photographs.do(["baselines", "maml-1shot"], folders)
    return (folders.records / "README.md").read_text()


def test_the_experiments_are_the_recipe_with_fewer_iterations():
    for name, experiment in photographs.EXPERIMENTS.items():
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
    for name, title in photographs.BASELINES.items():
        for column, shot in ((1, 1), (2, 5)):
            values = 100 * np.array(measured[f"{name}-{shot}shot"]["accuracy"])
            assert len(values) == 4
            assert rows[f"| {title}"][column].startswith(f"{values.mean():.2f} ± ")
    assert "distance " in readme
    assert "step_size " in readme


def test_the_saved_model_takes_photographs(folders, readme):
    model = folders.pretrained / "photographs-maml-1shot"
    assert input_of(model) == ImageInput(84, grey=False, ink_is_one=False)
    assert f"- `{model.name}`: MAML, 5-way 1-shot" in (folders.pretrained / "README.md").read_text()


def test_baselines_that_were_stopped_go_on(folders, readme, monkeypatch):
    document = json.loads((folders.records / "baselines.json").read_text())
    shorten(monkeypatch)
    monkeypatch.setattr(photographs, "train_features", lambda *_, **__: pytest.fail("trained"))
    (kept(folders) / "nearest_neighbour-5shot.json").unlink()
    assert photographs.measure_baselines(folders) == without_checksum(document)


def test_a_damaged_baseline_is_named(folders, readme, monkeypatch):
    shorten(monkeypatch)
    file = kept(folders) / "nearest_neighbour-1shot.json"
    content = file.read_text()
    file.write_text("{")
    with pytest.raises(FileError, match=r"nearest_neighbour-1shot\.json .*remove it"):
        photographs.measure_baselines(folders)
    file.write_text(content)


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


def half(content):
    return content[: len(content) // 2]


@pytest.mark.parametrize("broken", [b"", b"junk", half])
def test_damaged_features_are_one_line(folders, readme, monkeypatch, broken):
    file = kept(folders) / "features.npz"
    content = file.read_bytes()
    monkeypatch.setattr(photographs, "EXPERIMENTS", SHORTENED)
    file.write_bytes(broken(content) if callable(broken) else broken)
    with pytest.raises(UsageError, match=r"features\.npz does not hold the trained features") as e:
        photographs.measure_baselines(folders)
    file.write_bytes(content)
    assert "\n" not in str(e.value)


def test_finished_baselines_are_not_trained_again(folders, readme, monkeypatch):
    monkeypatch.setattr(photographs, "EXPERIMENTS", SHORTENED)
    monkeypatch.setattr(photographs, "measure_baselines", lambda folders: pytest.fail("trained"))
    photographs.do(["baselines"], folders)


def test_baselines_on_earlier_tasks_count_as_missing(folders, readme, monkeypatch):
    file = folders.records / "baselines.json"
    content = file.read_text()
    document = without_checksum(json.loads(content))
    del document["held_out_tasks"]
    file.write_text(json.dumps(document))
    monkeypatch.setattr(photographs, "EXPERIMENTS", SHORTENED)
    measured = without_checksum(json.loads(content))
    monkeypatch.setattr(photographs, "measure_baselines", lambda folders: measured)
    photographs.do(["baselines"], folders)
    assert json.loads(file.read_text()) == json.loads(content)


def test_what_is_finished_is_not_mixed_with_other_data(folders, readme, monkeypatch):
    shorten(monkeypatch)
    other = replace(folders, data_path=f"{folders.data_path}-other")
    shutil.copytree(folders.data_path, other.data_path)
    shutil.copy(f"{other.data_path}/test/test0/0.png", f"{other.data_path}/test/test1/0.png")
    for part, file in (("maml-1shot", "maml-1shot.json"), ("baselines", "baselines.json")):
        with pytest.raises(UsageError, match=rf"{file} was measured on other data: give that"):
            photographs.do([part], other)
        photographs.do([part], folders)
    with pytest.raises(UsageError, match=r"\.json was measured on other data: give that"):
        photographs.do(["tnet-1shot"], other)


def test_weights_of_a_saved_model_are_measured_on_their_data(
    folders, readme, tmp_path, monkeypatch, capsys
):
    shorten(monkeypatch)
    elsewhere = replace(folders, records=tmp_path / "results", workdir=tmp_path / "runs")
    other = replace(elsewhere, data_path=str(tmp_path / "data"))
    shutil.copytree(folders.data_path, other.data_path)
    shutil.copy(f"{other.data_path}/test/test0/0.png", f"{other.data_path}/test/test1/0.png")
    model = folders.pretrained / "photographs-maml-1shot"
    with pytest.raises(UsageError, match=f"weights of {model} were learned on other data: give th"):
        photographs.do(["maml-1shot"], other)
    # Nor would a run on the other data be exported there.
    checkpoints = other.workdir / "maml-1shot/checkpoints"
    checkpoints.mkdir(parents=True)
    with pytest.raises(UsageError, match=f"weights of {model} were learned on other data: give th"):
        photographs.do(["maml-1shot"], other)
    shutil.rmtree(other.workdir)
    photographs.do(["maml-1shot"], elsewhere)
    assert f"measuring the weights of {model}; another --pretrained" in capsys.readouterr().out
    found, expected = (
        json.loads((each.records / "maml-1shot.json").read_text()) for each in (elsewhere, folders)
    )
    assert found["evaluations"] == expected["evaluations"]
    assert (elsewhere.records / "README.md").exists()  # of a run without a curve


def test_a_record_of_an_earlier_version_gets_its_data(folders, readme, monkeypatch, capsys):
    shorten(monkeypatch)
    file = folders.records / "maml-1shot.json"
    content = json.loads(file.read_text())
    earlier = without_checksum(content)
    del earlier["data"]
    file.write_text(json.dumps(earlier))
    for said in (True, False):
        photographs.do(["maml-1shot"], folders)
        assert ("does not say what data it was measured on" in capsys.readouterr().out) == said
        assert json.loads(file.read_text()) == content
