"""A short Omniglot run from training to the table and the SavedModel."""

import json

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from data_generators import ImageInput
from experiments import omniglot
from experiments.experiment import Experiment
from experiments.omniglot import EXPERIMENTS, write_readme
from experiments.runs import Folders, finish
from system.lock import let_go
from utils.command import evaluation_flags
from utils.command.recipes import recipe
from utils.errors import UsageError
from utils.prediction.model_input import input_of
from utils.runs import training
from utils.runs.folder import LOCK, Run

pytestmark = pytest.mark.usefixtures("two_blocks")

TASKS = 60

SHORT = Experiment(
    "short",
    (
        "--datasource=omniglot",
        "--use_T",
        "--use_M",
        "--metatrain_iterations=2",
        "--meta_batch_size=2",
        "--num_filters=4",
        f"--num_test_tasks={TASKS}",
    ),
    shots=(1,),
    splits=("val", "test"),
    masks=("sample", "mode"),
)


@pytest.fixture(scope="module")
def root(omniglot_path, omniglot_cache, tmp_path_factory):
    root = tmp_path_factory.mktemp("omniglot")
    folders = Folders(
        records=root / "results",
        workdir=root / "runs",
        data_path=str(omniglot_path),
        cache_dir=omniglot_cache,
        pretrained=root / "pretrained",
        prefix="omniglot-",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation_flags, "EVALUATED_STEPS", 2)
        patch.setattr(training, "VALIDATION_TASKS", 20)
        finish(SHORT, folders)
        write_readme([SHORT], folders.records)
    return root


def test_the_experiments_are_the_recipes():
    for name, experiment in EXPERIMENTS.items():
        config = experiment.config
        method, way, *kind = name.split("-")
        assert method == config.method.replace("-", "").lower()
        assert way == f"{config.num_classes}way"
        for field, value in recipe("omniglot", config.num_classes, *kind).items():
            if value is not None:
                assert getattr(config, field) == value


def test_every_task_of_both_splits_and_masks_is_stored(root):
    document = json.loads((root / "results" / "short.json").read_text())
    kinds = [(e["settings"]["split"], e["settings"]["mask"]) for e in document["evaluations"]]
    assert kinds == [("val", "sample"), ("val", "mode"), ("test", "sample"), ("test", "mode")]
    values = [np.array(e["per_task"]) for e in document["evaluations"]]
    for accuracies in values:
        assert accuracies.shape == (TASKS, 3)
        np.testing.assert_allclose(5 * accuracies, np.rint(5 * accuracies), atol=1e-3)
    assert np.any(values[2] != values[3])


def test_the_table_has_the_stored_means(root):
    text = (root / "results" / "README.md").read_text()
    document = json.loads((root / "results" / "short.json").read_text())
    accuracy = 100 * np.array(document["evaluations"][2]["per_task"])[:, 1]
    cell = f"{accuracy.mean():.2f} ± {stats.t.ppf(0.975, TASKS - 1) * stats.sem(accuracy):.2f}"
    (row,) = (line for line in text.splitlines() if line.startswith("| MT-net 5-way | " + cell))
    assert row.endswith("| 99.5 ± 0.3 |")
    curve = (root / "results" / "short-curve.csv").read_text().splitlines()
    assert curve[0] == "iteration,loss,accuracy,val_loss,val_accuracy"
    assert curve[1].startswith("2,")
    assert (root / "results" / "curves.png").stat().st_size > 1000


def test_the_saved_model_knows_its_input_and_how_it_was_made(root):
    folder = root / "pretrained" / "omniglot-short"
    assert input_of(folder) == ImageInput(28, grey=True, ink_is_one=True)
    made = (folder / "assets.extra" / "README.md").read_text()
    assert "--metatrain_iterations=2" in made
    assert f"- `omniglot-short`: {made}" in (root / "pretrained" / "README.md").read_text()
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    assert signature.structured_input_signature[1]["support_y"].shape[-1] == 5


def test_the_best_recipe_goes_on_from_a_copy_of_the_papers_run(tmp_path, monkeypatch):
    best = EXPERIMENTS["maml-5way-best"]
    omniglot.begin_with_the_papers(best, tmp_path)
    assert not list(tmp_path.iterdir())

    paper = Run(tmp_path / "maml-5way", EXPERIMENTS["maml-5way"].config)
    paper.start(resume=True)
    with monkeypatch.context() as patch:
        patch.setattr(omniglot, "hold", lambda path: False)
        with pytest.raises(UsageError, match=r"maml-5way is being trained by another process"):
            omniglot.begin_with_the_papers(best, tmp_path)
    (tmp_path / "maml-5way-best.copy").mkdir()  # of an attempt that was killed
    omniglot.begin_with_the_papers(best, tmp_path)
    with pytest.raises(KeyError):  # another process may train it again
        let_go(paper.folder / LOCK)
    Run(tmp_path / "maml-5way-best", best.config).start(resume=True)  # accepts the copy
    assert paper.check_config().cooldown == 0

    (tmp_path / "maml-5way-best" / "own").touch()
    omniglot.begin_with_the_papers(best, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"maml-5way", "maml-5way-best"}
    assert (tmp_path / "maml-5way-best" / "own").exists()
