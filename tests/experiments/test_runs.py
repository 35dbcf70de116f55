"""An experiment from training to its record, stopped and gone on with, and from a SavedModel."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from experiments import measuring, runs
from experiments.documents import write_document
from experiments.experiment import Experiment
from experiments.exports import export_with_origin
from experiments.record import STORED_STEPS, read_record
from experiments.runs import Folders, begun, finish, trained_run
from system.errors import FileError
from utils.command import memory_needs
from utils.errors import UsageError
from utils.runs import folder
from utils.runs.datasets import EVALUATION_BATCH
from utils.runs.environment import environment

TASKS = 5
TINY = (
    "--use_T", "--use_M", "--metatrain_iterations=1", "--dim_hidden=3", f"--num_test_tasks={TASKS}",
    "--seed=7",
)  # fmt: skip
EXPERIMENT = Experiment("tiny", TINY)

pytestmark = pytest.mark.usefixtures("eagerly", "small_batches")


@pytest.fixture(scope="module")
def small_batches():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EVALUATION_BATCH, "sinusoid", TASKS)
        yield


@pytest.fixture
def experiment():
    return EXPERIMENT


@pytest.fixture(scope="module")
def done(eagerly, small_batches, tmp_path_factory):
    """The folders of an experiment that is finished; not to be changed."""
    root = tmp_path_factory.mktemp("runs")
    folders = Folders(records=root / "records", workdir=root / "work")
    finish(EXPERIMENT, folders)
    return folders


def test_a_run_leaves_its_configuration_and_every_task(experiment, done):
    folders = done
    (file,) = folders.records.iterdir()
    document = json.loads(file.read_text())
    assert document["configuration"] == experiment.config.to_dict()
    assert document["configuration"]["seed"] == 7
    assert document["main.py"] == " ".join(TINY)
    (evaluation,) = document["evaluations"]
    per_task = np.array(evaluation["per_task"])
    assert per_task.shape == (TASKS, len(STORED_STEPS))
    record = read_record(experiment, folders.records)
    np.testing.assert_array_equal(record.after(5), per_task[:, 2])
    assert {name: len(z) for name, z in record.mask_logits.items()} == {
        "dense1": 3, "dense2": 3, "dense3": 1,
    }  # fmt: skip
    assert record.trained_with["tensorflow"] == record.measured_with["tensorflow"]
    learner = trained_run(experiment, folders).learner
    for layer in learner.network.transform_layers:
        np.testing.assert_allclose(
            record.mask_logits[layer.name], layer.mask_logits[0].numpy(), rtol=1e-4
        )


def test_a_finished_run_is_not_done_again_but_one_of_other_settings_is(experiment, folders):
    finish(experiment, folders)
    (file,) = folders.records.iterdir()
    before = file.stat().st_mtime_ns
    finish(experiment, folders)  # reads it
    assert file.stat().st_mtime_ns == before
    other_shots = Experiment(experiment.name, experiment.flags, (5, 10))
    assert read_record(other_shots, folders.records) is None
    record = finish(other_shots, folders)
    assert [measured.settings.shot for measured in record.measured] == [5, 10]
    other_seed = Experiment("tiny", (*TINY, "--seed=8"))
    assert read_record(other_seed, folders.records) is None


CHANGES = [
    lambda text: text.replace('"num_tasks": 5', '"num_tasks": 600'),
    lambda text: text.replace("each by its number", "by the batch"),
    lambda text: text.replace('"per_task"', '"values"'),
    lambda text: text.replace('"held_out_tasks"', '"tasks"'),
    lambda text: text.replace('"seed": 7', '"seed": 8'),
    lambda text: text.replace('"steps": [0', '"steps": 0, "x": [0'),
]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "1",
        *CHANGES,
    ],
)
def test_a_damaged_record_is_named(experiment, done, tmp_path, damage):
    (file,) = done.records.iterdir()
    text = file.read_text()
    assert read_record(experiment, done.records) is not None
    assert damage(text) != text
    (tmp_path / file.name).write_text(damage(text))
    with pytest.raises(FileError, match=rf"{file.name}.*; remove it, and"):
        read_record(experiment, tmp_path)


@pytest.mark.parametrize("change", CHANGES)
def test_a_record_of_an_earlier_version_counts_as_missing(experiment, done, tmp_path, change):
    (file,) = done.records.iterdir()
    earlier = json.loads(file.read_text())
    del earlier["sha256"]  # earlier versions wrote none
    (tmp_path / file.name).write_text(json.dumps(earlier))
    assert read_record(experiment, tmp_path) is not None
    (tmp_path / file.name).write_text(change(json.dumps(earlier)))
    assert read_record(experiment, tmp_path) is None


def test_divergence_in_training_is_recorded_and_the_last_weights_evaluated(folders):
    steps = ("--update_lr=1e15", "--meta_lr=1e5")
    wild = Experiment("wild", ("--metatrain_iterations=300", f"--num_test_tasks={TASKS}", *steps))
    record = finish(wild, folders)
    assert record.diverged_at is not None
    assert record.iterations <= record.diverged_at
    assert np.isnan(record.after(1)).any()
    assert read_record(wild, folders.records).diverged_at == record.diverged_at


def test_evaluations_that_were_stopped_go_on(folders, monkeypatch):
    experiment = Experiment("tiny", TINY, shots=(5, 10), splits=("val", "test"))
    whole = finish(experiment, folders)
    (folders.records / "tiny.json").unlink()
    measured = []

    def losses(learner, source, settings, config):
        measured.append((settings.shot, settings.split))
        if len(measured) == 3:
            raise KeyboardInterrupt
        return held_out_losses(learner, source, settings, config)

    held_out_losses = measuring.held_out_losses
    monkeypatch.setattr(measuring, "held_out_losses", losses)
    with pytest.raises(KeyboardInterrupt):
        finish(experiment, folders)
    kept = folders.workdir / "tiny" / "evaluation" / "after1"
    assert len(list(kept.iterdir())) == 2
    again = finish(experiment, folders)
    assert measured == [(5, "val"), (5, "test"), (10, "val"), (10, "val"), (10, "test")]
    for one, other in zip(whole.measured, again.measured, strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=1e-4)
    assert not kept.exists()


def test_other_initial_weights_are_those_that_are_trained(folders):
    def halved(learner):
        seen.append(learner)
        for layer in learner.network.transform_layers:
            layer.kernel.assign(0.5 * layer.kernel)

    seen: list = []
    plain = Experiment("plain", ("--metatrain_iterations=0", "--dim_hidden=3"))
    other = Experiment("other", plain.flags, initialize=halved)
    kernels = [
        [layer.kernel.numpy() for layer in trained_run(e, folders).learner.network.transform_layers]
        for e in (plain, other)
    ]
    assert len(seen) == 1
    for full, half in zip(*kernels, strict=True):
        np.testing.assert_array_equal(half, 0.5 * full)


def test_a_run_that_was_trained_longer_gives_the_weights_of_the_iteration(
    experiment, folders, monkeypatch
):
    def weights(trained):
        return [variable.numpy() for variable in trained.learner.trainable_variables]

    first = trained_run(experiment, folders)
    longer = Experiment("tiny", (*TINY, "--metatrain_iterations=2"))
    elsewhere = {**environment(), "git_commit": "another"}
    monkeypatch.setattr(folder, "environment", lambda: elsewhere)
    second = trained_run(longer, folders)
    went_on = [(start["git_commit"], start["iteration"]) for start in second.later_versions]
    assert went_on == [("another", 1)]
    again = trained_run(experiment, folders)
    assert again.iterations == 1
    assert again.later_versions == []
    for one, other in zip(weights(again), weights(first), strict=True):
        np.testing.assert_array_equal(one, other)
    assert any(np.any(a != b) for a, b in zip(weights(again), weights(second), strict=True))
    none = Experiment("tiny", (*TINY, "--metatrain_iterations=0"))
    with pytest.raises(UsageError, match="has 2 iterations and no checkpoint of iteration 0 any m"):
        trained_run(none, folders)


def test_a_run_may_have_another_name_than_its_experiment(folders):
    experiment = Experiment("tiny", TINY, run="a-run")
    assert not begun(experiment, folders)
    trained_run(experiment, folders)
    assert (folders.workdir / "a-run" / "checkpoints").is_dir()
    assert begun(experiment, folders)


def test_refusals_name_the_flags_that_an_experiment_has(folders, monkeypatch):
    experiment = Experiment("tiny", (*TINY, "--metatrain_iterations=0"))
    trained_run(experiment, folders)
    run = folders.workdir / "tiny"
    other = Experiment("tiny", (*experiment.flags, "--seed=8"))
    lines = []

    def refused(experiment):
        with pytest.raises(UsageError) as error:
            trained_run(experiment, folders)
        lines.append(str(error.value))

    refused(other)
    with monkeypatch.context() as patch:
        patch.setattr(folder, "hold", lambda path: False)
        refused(experiment)
    (run / "evaluation").mkdir()
    (run / "evaluation" / "x.csv").touch()
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "checkpoint").write_text("damaged")
    refused(experiment)
    shutil.rmtree(run / "checkpoints")
    refused(experiment)
    (run / "evaluation" / "x.csv").unlink()
    (run / "config.json").unlink()
    (run / "checkpoints").mkdir()
    refused(experiment)
    ends = (
        "give those, another --workdir, or move it away, and it is trained anew",
        "is being trained by another process: wait for its end or stop it, or choose another --wo",
        "is corrupt: restore it, or move the run's folder away to start anew",
        "put those back, or move it away, and it is trained anew",
        "holds checkpoints but no config.json: choose another --workdir",
    )
    for line, end in zip(lines, ends, strict=True):
        assert end in line
        assert "--logdir" not in line
        assert "--noresume" not in line


def test_a_record_that_is_made_anew_is_said(experiment, folders, monkeypatch, capsys):
    file = folders.records / "tiny.json"
    write_document(file, {"configuration": {}, "evaluations": [], "held_out_tasks": "others"})
    monkeypatch.setattr(runs, "trained_run", lambda *_: pytest.fail("trained"))
    with pytest.raises(pytest.fail.Exception):
        finish(experiment, folders)
    assert capsys.readouterr().out == (
        f"{file} is of another version or other settings: it is made anew\n"
    )


@pytest.fixture
def with_exports(tmp_path):
    return Folders(
        records=tmp_path / "records",
        workdir=tmp_path / "work",
        pretrained=tmp_path / "pretrained",
        prefix="some-",
    )


def test_weights_of_a_run_that_is_gone_come_from_its_saved_model(
    experiment, with_exports, tmp_path, monkeypatch
):
    finish(experiment, with_exports)
    record = with_exports.records / "tiny.json"
    before = json.loads(record.read_text())
    del before["sha256"]
    record.write_text(json.dumps(before | {"held_out_tasks": "earlier ones"}))
    (with_exports.workdir).rename(tmp_path / "gone")
    export = with_exports.pretrained / "some-tiny"
    written = (export / "saved_model.pb").stat().st_mtime_ns
    monkeypatch.setattr(runs, "train", lambda *_, **__: pytest.fail("trained"))
    finish(experiment, with_exports)
    after = json.loads(record.read_text())
    assert after.keys() == {*before, "sha256"}
    for key in before.keys() - {"evaluations", "measured_with"}:
        assert after[key] == before[key]
    for one, other in zip(after["evaluations"], before["evaluations"], strict=True):
        np.testing.assert_allclose(one["per_task"], other["per_task"], rtol=1e-4)
    assert (export / "saved_model.pb").stat().st_mtime_ns == written
    assert not list(with_exports.workdir.glob("*/checkpoints"))


def test_a_saved_model_that_is_missing_is_made_of_a_run_that_is_measured(
    experiment, with_exports, tmp_path, monkeypatch
):
    finish(experiment, with_exports)
    weights = "some-tiny/variables/variables.data-00000-of-00001"
    expected = (with_exports.pretrained / weights).read_bytes()
    monkeypatch.setattr(runs, "measure_all", lambda *_: pytest.fail("measured"))
    elsewhere = replace(with_exports, pretrained=tmp_path / "elsewhere")
    finish(experiment, elsewhere)
    assert (elsewhere.pretrained / weights).read_bytes() == expected
    shutil.rmtree(elsewhere.pretrained)
    gone = replace(elsewhere, workdir=tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"nowhere/tiny is gone, the run whose results .* has: "):
        finish(experiment, gone)
    elsewhere.pretrained.mkdir()
    (elsewhere.pretrained / "some-tiny").write_text("mine")
    with pytest.raises(UsageError, match=r"some-tiny exists and is not a SavedModel: move it"):
        finish(experiment, elsewhere)


def test_a_saved_model_of_other_weights_is_not_left_beside_the_record(experiment, with_exports):
    trained = trained_run(experiment, with_exports)
    export = with_exports.pretrained / "some-tiny"
    for variable in trained.learner.trainable_variables:
        variable.assign(variable + 1)
    export_with_origin(trained.learner, trained.source, experiment, export)
    with pytest.raises(UsageError, match=r"some-tiny says that it is of this run, and has other w"):
        finish(experiment, with_exports)
    assert not with_exports.records.exists()


def test_a_saved_model_of_other_weights_is_said_before_training(
    experiment, with_exports, monkeypatch
):
    longer = replace(experiment, flags=(*experiment.flags, "--metatrain_iterations=2"))
    export = with_exports.pretrained / "some-tiny"
    trained = trained_run(experiment, with_exports)
    export_with_origin(trained.learner, trained.source, longer, export)
    # As where training diverged, whose SavedModel has the last checkpoint's weights.
    monkeypatch.setattr(runs, "train", lambda *_, **__: 2)
    trained_run(longer, with_exports)
    for variable in trained.learner.trainable_variables:
        variable.assign(variable + 1)
    export_with_origin(trained.learner, trained.source, longer, export)
    monkeypatch.setattr(runs, "train", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(UsageError, match=r"some-tiny says that it is of this run, and has other w"):
        finish(longer, with_exports)


def test_a_saved_model_of_another_run_is_not_taken(experiment, with_exports):
    trained = trained_run(experiment, with_exports)
    export = with_exports.pretrained / "some-other"
    export_with_origin(trained.learner, trained.source, experiment, export)
    other = Experiment("other", (*TINY, "--seed=8"))
    finish(other, with_exports)
    assert (with_exports.workdir / "other" / "checkpoints").exists()
    readme = (with_exports.pretrained / "README.md").read_text()
    assert "--seed=8" in readme


def test_an_experiment_that_does_not_fit_into_memory_names_no_flags_of_another_program(
    experiment, tmp_path, monkeypatch
):
    monkeypatch.setattr(memory_needs, "memory_bytes", lambda: 1000)
    with pytest.raises(UsageError, match=r"^the experiment tiny needs at least .* GB: ") as said:
        trained_run(experiment, Folders(records=tmp_path / "records", workdir=tmp_path / "work"))
    assert "update_batch_size=10" in str(said.value)
    assert "--" not in str(said.value)
    assert not list(tmp_path.iterdir())
