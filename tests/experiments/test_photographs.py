"""Short runs on small images, from the folders to the table."""

import json

import numpy as np
import pytest
from PIL import Image

from experiments import baselines, classification_runs, photographs
from experiments.classification_runs import Folders
from experiments.experiment import Experiment
from utils.command.recipes import recipe
from utils.errors import UsageError
from utils.prediction.model_input import ModelInput

SHORT = ("--metatrain_iterations=1", "--num_filters=2", "--num_test_tasks=4")
SHORTENED = {
    name: Experiment(name, (*experiment.flags, *SHORT), experiment.shots)
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
        str(root / "data"), str(root / "cache"), root / "runs", root / "results", root / "models"
    )


@pytest.fixture(scope="module")
def readme(folders):
    """Of one meta-learner and the baselines, all hardly trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(photographs, "EXPERIMENTS", SHORTENED)
        patch.setattr(photographs, "STEP_SIZES", (0.01, 0.1))
        patch.setattr(baselines, "STEPS", (2, 5))
        photographs.do(SHORTENED["maml-1shot"], folders)
        document = photographs.measure_baselines(
            folders, epochs=1, validation_tasks=20, test_tasks=4
        )
        photographs.write_document(folders.output / "baselines.json", document)
        photographs.write_readme(folders.output)
    return (folders.output / "README.md").read_text()


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
    document = json.loads((folders.output / "maml-1shot.json").read_text())
    (accuracy,) = (
        100 * np.array(e["accuracy"])[:, 5]
        for e in document["evaluations"]
        if e["settings"]["split"] == "test"
    )
    cell = f"{accuracy.mean():.2f} ± {1.96 * accuracy.std() / 2:.2f}"
    assert rows["| MAML"][1:3] == [cell, ""]
    measured = json.loads((folders.output / "baselines.json").read_text())
    for name, title in photographs.BASELINES.items():
        for column, shot in ((1, 1), (2, 5)):
            values = 100 * np.array(measured[f"{name}-{shot}shot"]["accuracy"])
            assert len(values) == 4
            assert rows[f"| {title}"][column].startswith(f"{values.mean():.2f} ± ")
    assert "distance " in readme
    assert "step_size " in readme


def test_the_saved_model_takes_photographs(folders, readme):
    model = folders.pretrained / "photographs-maml-1shot"
    assert ModelInput.beside(model) == ModelInput(84, grey=False, ink_is_one=False)
    assert f"- `{model.name}`: MAML, 5-way 1-shot" in (folders.pretrained / "README.md").read_text()


def test_baselines_that_were_stopped_go_on(folders, readme, monkeypatch):
    document = json.loads((folders.output / "baselines.json").read_text())
    monkeypatch.setattr(photographs, "EXPERIMENTS", SHORTENED)
    monkeypatch.setattr(photographs, "train_features", lambda *_, **__: pytest.fail("trained"))
    (folders.workdir / "baselines" / "nearest_neighbour-5shot.json").unlink()
    (folders.workdir / "baselines" / "nearest_neighbour-1shot.json").write_text("{")
    again = photographs.measure_baselines(folders, epochs=1, validation_tasks=20, test_tasks=4)
    assert again == document


def test_evaluations_that_were_stopped_go_on(folders, readme, monkeypatch):
    experiment = SHORTENED["maml-1shot"]
    result = folders.output / "maml-1shot.json"
    document = json.loads(result.read_text())
    measured = []

    def measure(config, learner, source, settings):
        measured.append(settings.split)
        if measured == ["val", "test"]:
            raise KeyboardInterrupt
        return evaluate(config, learner, source, settings)

    evaluate = classification_runs.measure
    monkeypatch.setattr(classification_runs, "measure", measure)
    result.unlink()
    with pytest.raises(KeyboardInterrupt):
        photographs.do(experiment, folders)
    kept = folders.workdir / "maml-1shot/evaluation/after1"
    assert [file.name for file in kept.iterdir()] == ["val-sample.json"]
    photographs.do(experiment, folders)
    assert measured[2:] == ["test"]
    assert json.loads(result.read_text())["evaluations"] == document["evaluations"]
    assert not kept.exists()


def test_runs_are_compared_with_the_baselines(folders, readme):
    run = json.loads((folders.output / "maml-1shot.json").read_text())
    baseline = json.loads((folders.output / "baselines.json").read_text())["fine_tuning-1shot"]
    (accuracy,) = (
        np.array(e["accuracy"])[:, 5]
        for e in run["evaluations"]
        if e["settings"]["split"] == "test"
    )
    mean = 100 * (np.mean(accuracy) - np.mean(baseline["accuracy"]))
    assert f"| maml-1shot - fine_tuning-1shot | {mean:+.2f} ± " in readme


def half(content):
    return content[: len(content) // 2]


@pytest.mark.parametrize("broken", [b"", b"junk", half])
def test_damaged_features_are_one_line(folders, readme, monkeypatch, broken):
    file = folders.workdir / "baselines" / "features.npz"
    content = file.read_bytes()
    monkeypatch.setattr(photographs, "EXPERIMENTS", SHORTENED)
    file.write_bytes(broken(content) if callable(broken) else broken)
    with pytest.raises(UsageError, match=r"features\.npz does not hold the trained features") as e:
        photographs.measure_baselines(folders)
    file.write_bytes(content)
    assert "\n" not in str(e.value)


def test_finished_baselines_are_not_trained_again(folders, readme, monkeypatch):
    monkeypatch.setattr(photographs, "measure_baselines", lambda folders: pytest.fail("trained"))
    photographs.do_baselines(folders)
