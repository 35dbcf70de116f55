import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from random_episodes import Episode, image_episode, randomize, regression_episode
from tensorflow import keras
from tensorflow.core.protobuf import saved_model_pb2

from maml_tnet import ConvNet, ExportError, MetaLearner, PrototypeConvNet, Regressor, export
from maml_tnet.losses import class_mean_cross_entropy, cross_entropy, squared_error
from maml_tnet.saved_model import _replace

pytestmark = pytest.mark.usefixtures("two_blocks")

# Run far from the repository, in a process in which the package cannot be imported.
LOADER = """
import sys
sys.modules["maml_tnet"] = None
try:
    import maml_tnet
except ImportError:
    pass
else:
    raise SystemExit("the package can be imported")
import numpy as np
import tensorflow as tf
for name in sys.argv[1:]:
    signature = tf.saved_model.load(name).signatures["serving_default"]
    inputs = np.load(name + ".npz")
    answers = signature(**{key: tf.constant(inputs[key]) for key in inputs})
    np.save(name + ".npy", answers["predictions"].numpy())
"""


def meta_learner(kind):
    rng = np.random.default_rng(0)
    if kind == "regression":
        network = Regressor(2, 3, dim_hidden=6, use_transform=True, mask_per="unit")
    else:
        network = ConvNet((9, 8, 2), 3, num_filters=4, use_transform=True, mask_per="unit")
    randomize(network, rng)
    learner = MetaLearner(
        network,
        sample_episode=lambda iteration: None,
        update_lr=0.05,
        num_updates=2,
        meta_sgd=kind != "regression",
    )
    learner.compile(loss=squared_error if kind == "regression" else cross_entropy)
    return learner


def episode(kind, tasks, shot, query):
    rng = np.random.default_rng(tasks)
    sizes = {"tasks": tasks, "shot": shot, "query": query, "dtype": "float32"}
    if kind == "regression":
        return regression_episode(rng, inputs=2, outputs=3, **sizes)
    return image_episode(rng, (9, 8, 2), way=3, **sizes)


def write(learner, folder, example: Episode, **arguments):
    export(
        learner,
        folder,
        support_x=example.support_x,
        support_y=example.support_y,
        query_x=example.query_x,
        **arguments,
    )


def write_soon(learner, folder):
    """Write a regression learner's export without inner steps, which is quickly traced."""
    write(learner, folder, episode("regression", 1, 1, 1), num_updates=0)


def load(folder):
    return tf.saved_model.load(str(folder)).signatures["serving_default"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The folder of an export of each kind, and the learners."""
    root = tmp_path_factory.mktemp("exports")
    learners = {kind: meta_learner(kind) for kind in ("regression", "classification")}
    for kind, learner in learners.items():
        write(learner, root / kind, episode(kind, 2, 2, 3))
    return root, learners


@pytest.mark.parametrize("kind", ["regression", "classification"])
@pytest.mark.parametrize(("tasks", "shot", "query"), [(2, 2, 3), (1, 1, 1), (5, 4, 2)])
def test_export_answers_as_the_model_in_memory(exported, kind, tasks, shot, query):
    root, learners = exported
    data = episode(kind, tasks, shot, query)
    answers = load(root / kind)(
        support_x=data.support_x, support_y=data.support_y, query_x=data.query_x
    )["predictions"]
    expected = learners[kind].adapt_and_predict(data.support_x, data.support_y, data.query_x, 2)
    assert answers.shape == data.query_y.shape
    np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-5)
    if kind == "classification":
        np.testing.assert_allclose(np.sum(answers, axis=-1), 1.0, rtol=1e-5)


@pytest.mark.usefixtures("convolution_kind")
def test_export_does_not_depend_on_how_convolutions_are_computed(exported, tmp_path):
    root, learners = exported
    data = episode("classification", 2, 2, 3)
    write(learners["classification"], tmp_path / "model", data)
    inputs = {"support_x": data.support_x, "support_y": data.support_y, "query_x": data.query_x}
    answers, expected = (
        load(folder)(**inputs)["predictions"]
        for folder in (tmp_path / "model", root / "classification")
    )
    np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-5)


def test_export_depends_on_the_support_set_and_repeats(exported):
    root, _ = exported
    signature = load(root / "regression")
    data = episode("regression", 2, 3, 2)
    inputs = {"support_x": data.support_x, "support_y": data.support_y, "query_x": data.query_x}
    first, again = (signature(**inputs)["predictions"] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    other = signature(**{**inputs, "support_y": 2 * data.support_y})["predictions"]
    assert np.any(np.abs(other - first) > 1e-3)


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_one_label_or_task_is_not_used_for_all(exported, kind):
    root, _ = exported
    data = episode(kind, 2, 3, 2)
    inputs = {"support_x": data.support_x, "support_y": data.support_y, "query_x": data.query_x}
    signature = load(root / kind)
    for name, value, what in (
        ("support_y", data.support_y[:, :1], "support examples and labels"),
        ("support_y", data.support_y[:1], "tasks"),
        ("query_x", data.query_x[:1], "tasks"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"as many of all {what}"):
            signature(**{**inputs, name: value})


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_a_task_and_a_support_example_are_the_least(exported, kind):
    root, _ = exported
    data = episode(kind, 2, 3, 2)
    inputs = {"support_x": data.support_x, "support_y": data.support_y, "query_x": data.query_x}
    signature = load(root / kind)
    with pytest.raises(tf.errors.InvalidArgumentError, match="there must be a task at least"):
        signature(**{name: value[:0] for name, value in inputs.items()})
    nothing = {name: inputs[name][:, :0] for name in ("support_x", "support_y")}
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be a support example at least"):
        signature(**{**inputs, **nothing})


def test_a_task_is_learned_once_and_asked_at_any_time(exported):
    root, learners = exported
    loaded = tf.saved_model.load(str(root / "regression")).signatures
    data = episode("regression", 1, 3, 4)
    learned = loaded["learn"](support_x=data.support_x[0], support_y=data.support_y[0])
    expected = learners["regression"].adapt_and_predict(*data[:3], 2)[0]
    for query in range(4):
        found = loaded["answer"](query_x=data.query_x[0, query : query + 1], **learned)
        np.testing.assert_allclose(
            found["predictions"], expected[query : query + 1], rtol=1e-4, atol=1e-5
        )
    together = tf.saved_model.load(str(root / "classification")).signatures
    assert set(together) == {"serving_default"}  # queries influence each other


def test_process_without_the_package_gives_the_same_answers(exported, tmp_path):
    root, learners = exported
    names = []
    for kind in learners:
        folder = tmp_path / kind
        data = episode(kind, 3, 2, 4)
        np.savez(
            f"{folder}.npz",
            support_x=data.support_x,
            support_y=data.support_y,
            query_x=data.query_x,
        )
        (root / kind).rename(folder)
        names.append(folder)
    try:
        loading = subprocess.run(
            [sys.executable, "-I", "-c", LOADER, *map(str, names)],
            cwd=tmp_path,
            check=True,
            timeout=300,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert "gradient" not in loading.stderr
    finally:
        for folder in names:
            folder.rename(root / folder.name)
    for kind, learner in learners.items():
        data = episode(kind, 3, 2, 4)
        expected = learner.adapt_and_predict(data.support_x, data.support_y, data.query_x, 2)
        answers = np.load(tmp_path / f"{kind}.npy")
        np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [ConvNet, PrototypeConvNet])
def test_a_network_of_bfloat16_is_exported(tmp_path, kind):
    outputs = [3] if kind is ConvNet else []
    network = kind((9, 8, 2), *outputs, num_filters=4, dtype="bfloat16")
    learner = MetaLearner(
        network, sample_episode=lambda iteration: None, update_lr=0.05, num_updates=2
    )
    learner.compile(loss=class_mean_cross_entropy)
    example = episode("classification", 2, 2, 3)
    write(learner, tmp_path / "model", example)
    inputs = {
        name: tf.cast(getattr(example, name), tf.bfloat16)
        for name in ("support_x", "support_y", "query_x")
    }
    found = load(tmp_path / "model")(**inputs)["predictions"]
    expected = learner.adapt_and_predict(*inputs.values(), learner.num_updates)
    assert found.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(found, tf.float32), tf.cast(expected, tf.float32), atol=0.1)


def test_number_of_steps_can_be_chosen_and_an_export_is_replaced(tmp_path):
    learner = meta_learner("regression")
    data = episode("regression", 2, 2, 3)
    for steps in (None, 0):
        write(learner, tmp_path / "model", data, num_updates=steps)
        answers = load(tmp_path / "model")(
            support_x=data.support_x, support_y=data.support_y, query_x=data.query_x
        )["predictions"]
        expected = learner.adapt_and_predict(
            data.support_x, data.support_y, data.query_x, 2 if steps is None else steps
        )
        np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(answers, learner.network(data.query_x), rtol=1e-4, atol=1e-5)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_parent_folders_are_made(tmp_path):
    folder = tmp_path / "a [1]" / "b"  # which is a pattern to TensorFlow
    write_soon(meta_learner("regression"), folder)
    assert (folder / "saved_model.pb").is_file()


def test_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ExportError, match=f"{tmp_path} exists and is not a SavedModel"):
        write_soon(meta_learner("regression"), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match=f"cannot write the SavedModel {tmp_path}/file/model"):
        write_soon(meta_learner("regression"), tmp_path / "file" / "model")


def test_what_tensorflow_cannot_write_is_said_without_names_of_operations(tmp_path, monkeypatch):
    def save(*_, **__):
        text = "{{function_node __wrapped__SaveV2}} a/b; No space left on device [Op:SaveV2]\nmore"
        raise tf.errors.ResourceExhaustedError(None, None, text)

    monkeypatch.setattr(tf.saved_model, "save", save)
    with pytest.raises(ExportError, match=r"SavedModel .*/model: a/b; No space left on device$"):
        write_soon(meta_learner("regression"), tmp_path / "model")


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("failure", ["disk", "parity", "interrupt"])
def test_failure_leaves_what_was_there(tmp_path, monkeypatch, failure, earlier):
    folder = tmp_path / "model"
    if earlier:
        folder.mkdir()
        there = saved_model_pb2.SavedModel()
        there.meta_graphs.add().signature_def["serving_default"].inputs["query_x"].name = "earlier"
        (folder / "saved_model.pb").write_bytes(there.SerializeToString())
    save = tf.saved_model.save

    def fail_half_way(module, path, **kwargs):
        save(module, path, **kwargs)
        if failure == "interrupt":
            raise KeyboardInterrupt
        raise OSError(28, "No space left on device")

    if failure == "parity":
        module = importlib.import_module("maml_tnet.saved_model")
        monkeypatch.setattr(module, "PARITY_TOLERANCE", -1.0)
    else:
        monkeypatch.setattr(tf.saved_model, "save", fail_half_way)
    error, message = {
        "disk": (ExportError, "No space left on device"),
        "parity": (ExportError, "predicts differently from the model in memory"),
        "interrupt": (KeyboardInterrupt, "^$"),
    }[failure]
    with pytest.raises(error, match=message):
        write_soon(meta_learner("regression"), folder)
    assert [p.name for p in tmp_path.iterdir()] == (["model"] if earlier else [])
    if earlier:
        assert (folder / "saved_model.pb").read_bytes() == there.SerializeToString()


def test_predictions_that_are_not_numbers_are_no_export(tmp_path):
    learner = meta_learner("regression")
    learner.network.transform_layers[0].kernel.assign(np.full([2, 6], np.nan))
    with pytest.raises(ExportError, match="predicts differently"):
        write_soon(learner, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_is_said_before(exported, tmp_path):
    _, learners = exported
    data = episode("regression", 2, 3, 2)
    given = {"support_x": data.support_x, "support_y": data.support_y, "query_x": data.query_x}
    learner = learners["regression"]
    for arguments, message in (
        ({"num_updates": -1}, "num_updates must be a whole number of at least 0, got -1"),
        ({"extra_files": {"a/b": ""}}, "extra_files must be names of files without a folder"),
        ({"support_y": data.support_y[:, :1]}, r"support_y must be \[tasks, examples, outputs\]"),
        ({"query_x": data.query_x[:1]}, "must be of the same tasks"),
    ):
        with pytest.raises(ValueError, match=message):
            export(learner, tmp_path / "none", **{**given, **arguments})
    with pytest.raises(ValueError, match="a Sequential is no learner"):
        export(keras.Sequential(), tmp_path / "none", **given)
    not_compiled = MetaLearner(
        learner.network, sample_episode=learner.sample_episode, update_lr=0.1, num_updates=1
    )
    with pytest.raises(ValueError, match="compile the learner first"):
        export(not_compiled, tmp_path / "none", **given)
    assert not list(tmp_path.iterdir())


def test_signatures_take_one_hot_labels_alone(exported):
    root, _ = exported
    data = episode("classification", 2, 3, 2)
    signature = load(root / "classification")
    inputs = {"support_x": data.support_x, "query_x": data.query_x}
    signature(support_y=data.support_y, **inputs)
    others = tf.roll(data.support_y, 1, axis=-1)
    for wrong in (
        tf.zeros_like(data.support_y),
        2 * data.support_y,
        2 * data.support_y - others,
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match="labels must be one-hot rows"):
            signature(support_y=wrong, **inputs)


def test_what_is_replaced_is_there_until_the_new_one_is(tmp_path, monkeypatch):
    """An export that cannot take its place leaves the earlier one as it was."""
    old, new = tmp_path / "model", tmp_path / ".model.1.tmp"
    for folder in (old, new):
        folder.mkdir()
        (folder / "name").write_text(folder.name)
    rename = Path.rename

    def fails(path, target):
        if path == new:
            raise OSError("no")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="no"):
        _replace(old, new)
    assert (old / "name").read_text() == "model"
    monkeypatch.setattr(Path, "rename", rename)
    _replace(old, new)
    assert (old / "name").read_text() == ".model.1.tmp"
    assert list(tmp_path.iterdir()) == [old]
