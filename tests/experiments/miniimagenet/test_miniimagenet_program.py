"""Two runs that are not trained, from their checkpoints to the page."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from made_up import record
from scipy import stats

from experiments import measuring as parts
from experiments import runs
from experiments.baselines.document import baselines_file
from experiments.documents import write_document
from experiments.miniimagenet import page, plan
from experiments.miniimagenet.measuring import do
from experiments.miniimagenet.plan import PARTS, on_other_photographs, table
from experiments.photographs.plan import EXPERIMENTS as OF_PHOTOGRAPHS
from experiments.record import HELD_OUT_TASKS, read_record
from experiments.runs import Folders, fingerprint_of
from experiments.table3 import Table3
from utils.command import evaluation_flags
from utils.command.recipes import recipe
from utils.errors import UsageError
from utils.runs.assembly import build_learner, build_source
from utils.runs.checkpoints import Checkpoints
from utils.runs.datasets import EVALUATION_BATCH
from utils.runs.folder import Run
from utils.runs.used_data import used_data

pytestmark = pytest.mark.usefixtures("eagerly", "two_blocks")

ITERATIONS, LATER = 2, 3
TASKS, FIRST, STEPS = 3, 2, 1
SHORT = (
    "--num_filters=4",
    "--update_lr=0.1",
    f"--num_updates={STEPS}",
    f"--num_test_tasks={TASKS}",
)
MADE_UP = np.random.RandomState(1).choice(np.linspace(0, 1, 6), size=[2, TASKS])


def shortened(experiments):
    return {
        name: replace(experiment, flags=(*experiment.flags, *SHORT))
        for name, experiment in experiments.items()
    }


EXPERIMENTS = shortened(table(ITERATIONS).experiments)
TABLE = Table3(
    EXPERIMENTS,
    replace(table(ITERATIONS).baselines, config=EXPERIMENTS["maml-1shot"].config, test_tasks=TASKS),
)


@pytest.fixture(scope="module", autouse=True)
def short():
    """Few tasks, two at a time, and few inner steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation_flags, "EVALUATED_STEPS", STEPS)
        patch.setitem(EVALUATION_BATCH, "miniimagenet", 2)
        patch.setattr(parts, "PART", 2)
        patch.setattr(page, "TEST_TASKS", TASKS)
        patch.setattr(page, "FIRST_TASKS", FIRST)
        patch.setattr(plan, "OTHER_TASKS", TASKS)
        yield


@pytest.fixture(scope="module")
def folders(coloured_classes, tmp_path_factory):
    """Of runs of MT-net and MAML with checkpoints of both iterations, and of made-up baselines."""
    root = tmp_path_factory.mktemp("miniimagenet")
    made = Folders(
        records=root / "results" / "miniimagenet",
        workdir=root / "runs",
        data_path=str(coloured_classes),
        cache_dir=str(root / "cache"),
    )
    for name in ("mtnet-1shot", "maml-1shot"):
        config = EXPERIMENTS[name].config
        source = build_source(config, made.data_path, made.cache_dir)
        learner = build_learner(config, source)
        run = Run.named_by(config, str(made.workdir))
        run.start(resume=True, data=used_data(source, made.data_path, made.cache_dir))
        checkpoints = Checkpoints(run, learner)
        random = np.random.RandomState(0)
        for iteration in (ITERATIONS, LATER):
            for variable in learner.trainable_variables:
                variable.assign(variable + random.normal(scale=0.05, size=variable.shape))
            checkpoints.save(iteration)
        rows = [f"{iteration},0.5,0.5,0.5,0.{iteration}" for iteration in (1, ITERATIONS, LATER)]
        header = "iteration,loss,accuracy,val_loss,val_accuracy"
        run.log.path.write_text("".join(f"{line}\r\n" for line in [header, *rows]))
    measured = {
        name: {"chosen on validation": {"made up": name}, "accuracy": values.tolist()}
        for (name, *_), values in zip(TABLE.baselines.results, MADE_UP, strict=True)
    }
    document = {"held_out_tasks": HELD_OUT_TASKS, "epochs": 1, **measured}
    write_document(baselines_file(made.records), document)
    return made


@pytest.fixture(scope="module")
def readme(folders):
    do(["mtnet-1shot", "maml-1shot", "tnet-1shot", "baselines"], TABLE, folders, None)
    return (folders.records / "README.md").read_text()


@pytest.fixture
def copied(folders, tmp_path):
    """The same runs, of which nothing was measured."""
    shutil.copytree(folders.workdir, tmp_path / "runs")
    return replace(folders, records=tmp_path / "results/miniimagenet", workdir=tmp_path / "runs")


@pytest.fixture(scope="module")
def learners(folders):
    """By name of the run, with the weights that are to be measured, and their sources."""
    found = {}
    for name in ("mtnet-1shot", "maml-1shot"):
        config = EXPERIMENTS[name].config
        source = build_source(config, folders.data_path, folders.cache_dir)
        learner = build_learner(config, source, evaluation_updates=STEPS)
        run = Run.named_by(config, str(folders.workdir))
        Checkpoints(run, learner).restore_iteration(ITERATIONS)
        found[name] = learner, source
    return found


def one_by_one(learner, source, shot=1):
    """Accuracies [tasks, steps + 1], masks at their mode, from one task's answers at a time."""
    found = []
    for task in range(TASKS):
        episode = source.held_out("test", tf.constant([task]), shot=shot, query=shot)
        answers = [learner.adapt_and_predict(*episode[:3], steps) for steps in range(STEPS + 1)]
        right = np.argmax(answers, -1) == np.argmax(episode.query_y, -1)
        found.append(right[:, 0].mean(axis=1))
    return np.array(found)


def stored(folders, name):
    """Accuracies [tasks, steps + 1] of a record, by how M was had."""
    document = json.loads((folders.records / f"{name}.json").read_text())
    return {e["settings"]["mask"]: np.array(e["per_task"]) for e in document["evaluations"]}


def percent(values):
    values = 100 * np.asarray(values)
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{values.mean():.2f} ± {half:.2f}"


def test_the_experiments_are_the_papers():
    assert PARTS == ("mtnet-1shot", "maml-1shot", "tnet-1shot", "baselines", "other")
    for name, experiment in table(20_000).experiments.items():
        config, settings = experiment.config, experiment.settings(1)
        assert name == f"{config.method.replace('-', '').lower()}-1shot"
        assert experiment.run == f"miniimagenet-5way-1shot-{name.split('-')[0]}-seed0"
        for field, value in (recipe("miniimagenet") | {"metatrain_iterations": 20_000}).items():
            assert getattr(config, field) == value
        assert (settings.query, settings.num_tasks, settings.split) == (1, 4000, "test")
        other = on_other_photographs(experiment)
        assert other.config == config
        assert [(s.shot, s.query) for s in other.evaluations] == [(1, 1), (5, 5)]
        assert {s.mask for s in other.evaluations} == {"mode" if config.use_M else "sample"}


@pytest.mark.parametrize(("name", "mask"), [("mtnet-1shot", "mode"), ("maml-1shot", "sample")])
def test_every_task_is_measured_as_if_alone(folders, readme, learners, name, mask):
    found = stored(folders, name)[mask]
    assert len(found) == TASKS
    assert len(np.unique(found)) > 1
    np.testing.assert_allclose(found, one_by_one(*learners[name]), atol=1e-4)


def test_drawn_masks_are_those_of_the_tasks_number(folders, readme, learners):
    learner, source = learners["mtnet-1shot"]
    found = stored(folders, "mtnet-1shot")
    for task in range(TASKS):
        numbers = tf.constant([task])
        episode = source.held_out("test", numbers, shot=1, query=1)
        (alone,) = learner.predict_step((numbers, episode))["accuracy"].numpy()
        np.testing.assert_allclose(found["sample"][task], alone, atol=1e-4)
    assert np.any(found["sample"] != found["mode"])


def test_the_page_has_the_stored_means_and_the_papers(folders, readme):
    rows = {line.split(" | ")[0]: line for line in readme.splitlines()}
    accuracies = stored(folders, "mtnet-1shot")
    for row, values, paper in (
        ("MT-net", accuracies["sample"][:, STEPS], "51.69 ± 0.70"),
        ("MT-net, masks at their mode", accuracies["mode"][:, STEPS], ""),
        ("MAML", stored(folders, "maml-1shot")["sample"][:, STEPS], "48.70 ± 1.84"),
        ("nearest neighbour", MADE_UP[0], "41.08 ± 0.70"),
        ("fine-tuning", MADE_UP[1], "28.86 ± 0.54"),
    ):
        expected = f"| {row} | {percent(values[:FIRST])} | {percent(values)} | {paper} |"
        assert rows[f"| {row}"] == expected
    assert "Not run: T-net, anything 5-shot." in readme
    assert "2 iterations of the paper's recipe" in readme
    assert "figures are those of 60,000 iterations" in readme
    steps = rows["| mtnet-1shot, mask at its mode"].strip("| ").split(" | ")[1:]
    in_bold = f"**{percent(accuracies['mode'][:, STEPS])}**"
    assert steps == [*(percent(v) for v in accuracies["mode"].T[:STEPS]), in_bold]
    version = Run.opened(folders.workdir / EXPERIMENTS["maml-1shot"].run).starts()[0]["git_commit"]
    assert f"git_commit {version}" in readme


def test_differences_are_paired(folders, readme):
    first, second = (
        100 * stored(folders, name)["sample"][:, STEPS] for name in ("mtnet-1shot", "maml-1shot")
    )
    mean = np.mean(first - second)
    low, high = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert f"| mtnet-1shot - maml-1shot | {mean:+.2f} ± {(high - low) / 2:.2f} |" in readme
    low, high = stats.ttest_rel(second, 100 * MADE_UP[0]).confidence_interval(0.95)
    half = f"{(high - low) / 2:.2f}"
    assert f"| maml-1shot - nearest_neighbour-1shot | {(low + high) / 2:+.2f} ± {half} |" in readme


def test_update_probabilities_are_of_the_layers(folders, readme, learners):
    learner, _ = learners["mtnet-1shot"]
    for layer in learner.network.transform_layers:
        probability = np.mean(1 / (1 + np.exp(-layer.mask_logits[0].numpy())))
        assert f"| mtnet-1shot | {layer.name} | {probability:.3f} |" in readme


def test_the_curve_ends_where_the_weights_are_of(folders, readme):
    curve = (folders.records / "maml-1shot-curve.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in curve[1:]] == ["1", str(ITERATIONS)]
    assert (folders.records / "curves.png").stat().st_size > 1000


def test_a_measurement_that_is_stopped_goes_on(folders, readme, copied, monkeypatch):
    measured = []

    def measure(config, learner, source, settings, first):
        if measured:
            raise KeyboardInterrupt
        return later(config, learner, source, settings, first)

    def later(config, learner, source, settings, first):
        measured.append(first)
        return measure_part(config, learner, source, settings, first)

    measure_part = parts.measure
    monkeypatch.setattr(parts, "measure", measure)
    with pytest.raises(KeyboardInterrupt):
        do(["maml-1shot"], TABLE, copied, None)
    kept = copied.workdir / EXPERIMENTS["maml-1shot"].run / "evaluation"
    assert [file.name for file in kept.glob("*/*")] == ["test-1shot-sample-0.json"]
    monkeypatch.setattr(parts, "measure", later)
    do(["maml-1shot"], TABLE, copied, None)
    assert measured == [0, 2]
    whole, again = (
        json.loads((each.records / "maml-1shot.json").read_text()) for each in (folders, copied)
    )
    assert again["evaluations"] == whole["evaluations"]
    assert not list(kept.iterdir())


def test_other_photographs_beside_networks_that_learned_there(
    folders, readme, learners, tmp_path, monkeypatch
):
    mtnet = Table3({"mtnet-1shot": EXPERIMENTS["mtnet-1shot"]}, TABLE.baselines)
    other_path = tmp_path / "other"
    shutil.copytree(folders.data_path, other_path)
    shutil.copy(other_path / "test/test0/0.png", other_path / "test/test1/0.png")
    learner, _ = learners["mtnet-1shot"]
    config = EXPERIMENTS["mtnet-1shot"].config
    source = build_source(config, str(other_path), folders.cache_dir)
    trained_there = shortened(OF_PHOTOGRAPHS)
    monkeypatch.setattr(page, "OF_PHOTOGRAPHS", trained_there)
    own = np.random.RandomState(2).choice(np.linspace(0, 1, 6), size=[TASKS, STEPS + 1])
    made = record(trained_there["mtnet-5shot"], lambda _: own, steps=range(STEPS + 1))
    made = replace(made, data=fingerprint_of(source))
    made.write(folders.records.parent / "photographs")
    do(["other"], mtnet, folders, str(other_path))
    document = json.loads((folders.records / "other/mtnet-1shot.json").read_text())
    for evaluation, shot in zip(document["evaluations"], (1, 5), strict=True):
        assert (evaluation["settings"]["mask"], evaluation["settings"]["query"]) == ("mode", shot)
        expected = one_by_one(learner, source, shot)
        np.testing.assert_allclose(evaluation["per_task"], expected, atol=1e-4)
    text = (folders.records / "README.md").read_text()
    assert "| maml-1shot |" not in text
    here, there = expected[:, STEPS], own[:, STEPS]
    mean = 100 * np.mean(here - there)
    assert f"| MT-net, 5-shot | {percent(here)} | {percent(there)} | {mean:+.2f} ± " in text
    (row,) = (line for line in text.splitlines() if line.startswith("| MT-net, 1-shot | "))
    assert row.endswith(" |  |  |")  # no network that learned there is on record
    assert read_record(EXPERIMENTS["mtnet-1shot"], folders.records) is not None
    with pytest.raises(UsageError, match=r"mtnet-1shot\.json was measured on other data: give"):
        do(["other"], mtnet, folders, folders.data_path)


def test_what_is_not_given_is_left_out(folders, readme, capsys):
    do(["tnet-1shot", "other"], TABLE, folders, None)
    assert capsys.readouterr().out == (
        f"tnet-1shot: left out, {folders.workdir} has no run miniimagenet-5way-1shot-tnet-seed0\n"
        "other: left out, --other_path names no photographs\n"
    )


def test_models_are_written_also_of_runs_that_are_measured(folders, readme, tmp_path, monkeypatch):
    exported = []
    monkeypatch.setattr(runs, "export_with_origin", lambda *args: exported.append(args[-1]))
    with_models = replace(folders, pretrained=tmp_path, prefix="miniimagenet-")
    do(["maml-1shot"], TABLE, with_models, None)
    assert exported == [tmp_path / "miniimagenet-maml-1shot"]
    gone = replace(with_models, workdir=tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"miniimagenet-5way-1shot-maml-seed0 is gone, the run wh"):
        do(["maml-1shot"], TABLE, gone, None)
