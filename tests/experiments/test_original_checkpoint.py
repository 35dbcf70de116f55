"""Checkpoints written as the original programs write them, against NumPy."""

import io
import os
import re
import shutil
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from coloured_images import write_classes

from data_generators import MiniImagenet, Sinusoid
from experiments import original_checkpoint
from experiments.experiment import Experiment
from experiments.original_variables import Place, read_original
from maml_tnet import Regressor
from tests import program
from tests.maml_tnet.numpy_mt_net import loss_and_gradients
from utils.command import evaluation_flags, memory_needs
from utils.runs.assembly import build_network

HIDDEN, FILTERS = 7, 4
CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4")
IMAGE_LAYERS = (*CONVOLUTIONS, "w5")
REGRESSION_LAYERS = ("w1", "w2", "w3")
METHODS = {
    "MAML": (False, None),
    "T-net": (True, None),
    "M-net": (False, "shared"),
    "MT-net": (True, "shared"),
    "unshared MT-net": (True, "unshared"),
}


def regression(rng, method, *, inputs=1, hidden=HIDDEN):
    """The original's weights by the keys of its dictionary, in the order in which it makes them."""
    weights = {}
    sizes = [inputs, hidden, hidden, 1]
    for i, key in enumerate(REGRESSION_LAYERS):
        weights[key] = rng.normal(size=sizes[i : i + 2])
        weights[f"b{i + 1}"] = rng.normal(size=sizes[i + 1])
    return as_float32(
        weights
        | masks(rng, weights, REGRESSION_LAYERS, method)
        | transforms(rng, weights, REGRESSION_LAYERS, method)
    )


def images(rng, method, *, channels=1, way=5, norm=True, filters=FILTERS):
    """The same for the networks of Omniglot (1 channel) and miniImagenet (3 channels)."""
    weights = {}
    for i, key in enumerate(CONVOLUTIONS):
        inputs = filters if i else channels
        weights[key] = rng.normal(scale=0.5, size=[3, 3, inputs, filters])
        weights[f"b{i + 1}"] = rng.normal(size=filters)
    weights["w5"] = rng.normal(scale=0.5, size=[filters * (1 if channels == 1 else 25), way])
    weights["b5"] = rng.normal(size=way)
    weights |= masks(rng, weights, IMAGE_LAYERS, method)
    weights |= transforms(rng, weights, IMAGE_LAYERS, method)
    if norm:
        weights |= {f"{i}/beta": rng.normal(size=filters) for i in range(4)}
    return as_float32(weights)


def masks(rng, weights, layers, method):
    kind = METHODS[method][1]
    logits = {}
    for i, key in enumerate(layers if kind else ()):
        if kind == "shared":
            logits[f"{key}_prob"] = rng.normal(size=weights[key].shape[-1])
        else:
            logits[f"{key}_prob"] = rng.normal(size=weights[key].size)
            logits[f"b{i + 1}_prob"] = rng.normal(size=weights[key].shape[-1])
    return logits


def transforms(rng, weights, layers, method):
    if not METHODS[method][0]:
        return {}
    return {
        f"{key}_f": (
            np.eye(weights[key].shape[-1]) + 0.3 * rng.normal(size=[weights[key].shape[-1]] * 2)
        ).reshape([1] * (weights[key].ndim - 2) + [weights[key].shape[-1]] * 2)
        for key in layers
    }


def as_float32(weights):
    return {key: np.asarray(value, np.float32) for key, value in weights.items()}


def save(folder, weights):
    """Save them from a graph as the original's; TensorFlow numbers what it leaves unnamed."""
    named = [*CONVOLUTIONS, "w5", "b5"] if "conv1" in weights else []
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        with tf.compat.v1.variable_scope("model"):
            for key, value in weights.items():
                name = key if key in named or "/" in key else None
                tf.compat.v1.Variable(value, name=name, use_resource=False)
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver(tf.compat.v1.trainable_variables())
        return saver.save(session, str(folder / "model59000"), write_meta_graph=False)


def dense(weights, layer, x):
    key = f"w{layer}"
    y = x @ weights[key] + weights[f"b{layer}"]
    return y @ weights[f"{key}_f"] if f"{key}_f" in weights else y


def regression_outputs(weights, x):
    """[examples, 1] -> [examples, 1]."""
    for layer in (1, 2):
        x = np.maximum(dense(weights, layer, x), 0)
    return dense(weights, 3, x)


def image_features(weights, x, max_pool):
    """The head's inputs for one task's images [examples, height, width, channels]."""
    for i, key in enumerate(CONVOLUTIONS):
        x = convolution(x, weights[key], 1 if max_pool else 2) + weights[f"b{i + 1}"]
        if f"{key}_f" in weights:
            x = convolution(x, weights[f"{key}_f"], 1)
        if "0/beta" in weights:
            mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
            x = (x - mean) / np.sqrt(variance + 1e-3) + weights[f"{i}/beta"]
        x = np.maximum(x, 0)
        if max_pool:
            n, height, width, filters = x.shape
            x = x[:, : height // 2 * 2, : width // 2 * 2]
            x = x.reshape(n, height // 2, 2, width // 2, 2, filters).max((2, 4))
    is_omniglot = weights["conv1"].shape[2] == 1
    return x.mean((1, 2)) if is_omniglot else x.reshape(len(x), -1)


def convolution(x, kernel, stride):
    """SAME convolution."""
    size = len(kernel)
    padding = [(0, 0)]
    for extent in x.shape[1:3]:
        total = max((-(-extent // stride) - 1) * stride + size - extent, 0)
        padding.append((total // 2, total - total // 2))
    padded = np.pad(x, [*padding, (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    return np.einsum("nhwcij,ijcf->nhwf", windows[:, ::stride, ::stride], kernel)


def as_float64(weights):
    return {key: np.asarray(value, np.float64) for key, value in weights.items()}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(autouse=True, scope="module")
def _compile_little():
    """The steps of an evaluation are unrolled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Regressor, "compile_with_xla", False)
        patch.setattr(evaluation_flags, "EVALUATED_STEPS", 2)
        yield


def parsed(*arguments):
    given = original_checkpoint.define(flags.FlagValues())
    given(["original_checkpoint", *arguments])
    return given


def run(*arguments):
    given = original_checkpoint.define(flags.FlagValues())
    return original_checkpoint.main(["original_checkpoint", *arguments], given)


def network_of(checkpoint, *arguments):
    """Our network with the checkpoint's weights, and the configuration it is built with."""
    original = read_original(checkpoint)
    given = parsed(f"--checkpoint={checkpoint}", *arguments)
    config = Experiment("", tuple(original_checkpoint.flags_of_main(original, given))).config
    sides = {"regression": (), "omniglot": (28, 28), "miniimagenet": (84, 84)}
    source = SimpleNamespace(
        input_shape=(*sides[original.kind], original.inputs), output_size=original.outputs
    )
    network = build_network(config, source)
    original.assign_to(network)
    return network, config


@pytest.mark.parametrize("method", METHODS)
def test_a_regressor_computes_what_the_original_does(tmp_path, rng, method):
    weights = regression(rng, method)
    network, config = network_of(save(tmp_path, weights))
    x = rng.normal(size=[2, 6, 1])
    expected = [regression_outputs(as_float64(weights), task) for task in x]
    np.testing.assert_allclose(network(x.astype(np.float32)), expected, rtol=1e-4, atol=1e-4)
    assert (config.datasource, config.dim_hidden) == ("sinusoid", HIDDEN)
    assert config.method == {"unshared MT-net": "MT-net (unshared masks)"}.get(method, method)


@pytest.mark.parametrize(
    ("method", "norm", "max_pool"),
    [
        ("MAML", True, False),
        ("MT-net", True, False),
        ("unshared MT-net", False, False),
        ("T-net", True, True),
    ],
)
def test_omniglots_network_computes_what_the_original_does(tmp_path, rng, method, norm, max_pool):
    weights = images(rng, method, way=3, norm=norm)
    network, config = network_of(save(tmp_path, weights), *["--max_pool"] * max_pool)
    x = rng.uniform(size=[2, 5, 28, 28, 1])
    weights = as_float64(weights)
    expected = [dense(weights, 5, image_features(weights, task, max_pool)) for task in x]
    np.testing.assert_allclose(network(x.astype(np.float32)), expected, rtol=1e-3, atol=1e-3)
    assert (config.datasource, config.num_classes, config.num_filters) == ("omniglot", 3, FILTERS)
    assert config.norm == ("batch_norm" if norm else None)


@pytest.mark.parametrize(("method", "norm"), [("MAML", True), ("MT-net", False)])
def test_miniimagenets_network_computes_what_the_original_does(tmp_path, rng, method, norm):
    weights = images(rng, method, channels=3, norm=norm)
    network, config = network_of(save(tmp_path, weights))
    x = rng.uniform(size=[2, 5, 84, 84, 3])
    weights = as_float64(weights)
    expected = [dense(weights, 5, image_features(weights, task, max_pool=True)) for task in x]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(network(x.astype(np.float32)), expected, atol=1e-4 * scale)
    assert (config.datasource, config.num_updates) == ("miniimagenet", 5)


@pytest.mark.parametrize(
    ("method", "norm"), [("MT-net", True), ("unshared MT-net", True), ("unshared MT-net", False)]
)
def test_every_layer_has_its_own_mask_logits(tmp_path, rng, method, norm):
    weights = images(rng, method, norm=norm)
    network, _ = network_of(save(tmp_path, weights))
    for i, (key, layer) in enumerate(zip(IMAGE_LAYERS, network.transform_layers, strict=True)):
        expected = [weights[f"{key}_prob"]]
        if method == "unshared MT-net":
            expected = [expected[0].reshape(weights[key].shape), weights[f"b{i + 1}_prob"]]
            # b is left out where batch normalization follows.
            expected = expected[: len(layer.initial_weights)]
        assert len(layer.mask_logits) == len(expected)
        for logits, values in zip(layer.mask_logits, expected, strict=True):
            np.testing.assert_array_equal(logits, values)


def test_twenty_ways_have_their_own_recipe(tmp_path, rng):
    _, config = network_of(save(tmp_path, images(rng, "MAML", way=20)), "--num_updates=5")
    assert (config.num_classes, config.update_lr, config.num_updates) == (20, 0.1, 5)


def table(output):
    """Number of inner steps -> the cells of the printed table."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in output.splitlines()]
    return {cells[0].rstrip(" *"): cells[1:] for cells in lines if cells and cells[0][0].isdigit()}


@pytest.mark.parametrize("method", ["MAML", "MT-net", "unshared MT-net"])
def test_the_command_measures_and_exports_a_regressor(tmp_path, rng, capsys, method):
    weights = as_float64(regression(rng, method))
    checkpoint = save(tmp_path, as_float32(weights))
    arguments = (f"--checkpoint={checkpoint}.index", f"--export_dir={tmp_path}/model")
    assert run(*arguments, "--update_lr=0.02", "--num_test_tasks=100") == 0

    # Their sinusoids are ours turned about the origin.
    episode = Sinusoid().held_out("test", tf.range(100), shot=10, query=10)
    turned_x, turned_y = -episode.query_x.numpy(), -episode.query_y.numpy()
    losses = [
        np.mean((regression_outputs(weights, x) - y) ** 2)
        for x, y in zip(turned_x, turned_y, strict=True)
    ]
    rows = table(capsys.readouterr().out)
    assert list(rows) == [str(step) for step in range(3)]
    mean, _, _ = rows["0"][1].split()
    assert float(mean) == pytest.approx(np.mean(losses), rel=1e-2)

    support_x, support_y, query_x = (rng.normal(size=[1, n, 1]) for n in (5, 5, 4))
    answers = tf.saved_model.load(f"{tmp_path}/model").signatures["serving_default"](
        support_x=tf.constant(support_x, tf.float32),
        support_y=tf.constant(support_y, tf.float32),
        query_x=tf.constant(query_x, tf.float32),
    )["predictions"]
    adapted = one_step(weights, support_x[0], support_y[0], alpha=0.02)
    expected = regression_outputs(adapted, query_x[0])
    np.testing.assert_allclose(answers[0], expected, rtol=1e-3, atol=1e-3)
    assert np.abs(regression_outputs(weights, query_x[0]) - expected).max() > 0.1


def one_step(weights, x, y, alpha):
    """The weights after a step that updates what is more likely updated than not."""
    W, b, T = (
        [weights[f"{kind}{i}{suffix}"] for i in (1, 2, 3)] if f"w1{suffix}" in weights else None
        for kind, suffix in (("w", ""), ("b", ""), ("w", "_f"))
    )
    T = T or [np.eye(kernel.shape[1]) for kernel in W]
    _, dW, db, _ = loss_and_gradients(W, b, T, x, y)
    adapted = dict(weights)
    for i in range(3):
        logits = weights.get(f"w{i + 1}_prob", np.zeros(1))
        of_bias = weights.get(f"b{i + 1}_prob", logits)
        of_kernel = logits.reshape(W[i].shape) if logits.size == W[i].size else logits
        adapted[f"w{i + 1}"] = W[i] - alpha * (of_kernel >= 0) * dW[i]
        adapted[f"b{i + 1}"] = b[i] - alpha * (of_bias >= 0) * db[i]
    return adapted


WAY = 3
STEPS, ALPHA = 2, 0.01


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Four classes a split, of 84 x 84 pixels of noise about a colour."""
    root = tmp_path_factory.mktemp("photographs")
    write_classes(root, classes=4, colors=(60, 190), noise=30)
    return root


class Classifier(NamedTuple):
    """What the command was given and left."""

    weights: dict[str, np.ndarray]
    folder: Path
    output: str


@pytest.fixture(scope="module", params=["MT-net", "unshared MT-net"])
def classifier(request, photographs, tmp_path_factory):
    """Its inner steps change the head alone, as the masks keep the convolutions."""
    folder = tmp_path_factory.mktemp("classifier")
    weights = images(np.random.default_rng(0), request.param, channels=3, way=WAY)
    for key in CONVOLUTIONS:
        weights[f"{key}_prob"] = -10 - weights[f"{key}_prob"] ** 2
    weights["w5_prob"][0] = 1  # of the first class; in the shared draw, no logit is positive
    output = io.StringIO()
    with redirect_stdout(output):
        code = run(
            f"--checkpoint={save(folder, weights)}",
            f"--data_path={photographs}",
            f"--cache_dir={folder}/cache",
            "--num_test_tasks=4",
            "--mask=mode",
            f"--num_updates={STEPS}",
            f"--update_lr={ALPHA}",
            f"--export_dir={folder}/model",
        )
    assert code == 0
    return Classifier(as_float64(weights), folder, output.getvalue())


@pytest.fixture
def episode(classifier, photographs):
    """The four tasks that the command measures."""
    source = MiniImagenet.load(str(photographs), f"{classifier.folder}/cache", WAY)
    return source.held_out("test", tf.range(4), shot=1, query=1)


def test_the_command_measures_a_classifier(classifier, episode):
    rows = table(classifier.output)
    for steps in (0, 1, STEPS):
        right = [
            logits(classifier.weights, *task[:3], steps).argmax(1) == task[3].argmax(1)
            for task in zip(*map(np.float64, episode), strict=True)
        ]
        assert rows[str(steps)][0].split()[0] == f"{100 * np.mean(right):.2f}"


def test_the_command_exports_a_classifier(classifier, episode):
    signature = tf.saved_model.load(f"{classifier.folder}/model").signatures["serving_default"]
    inputs = {name: getattr(episode, name) for name in ("support_x", "support_y", "query_x")}
    answers = signature(**inputs)["predictions"]
    tasks = list(zip(*(np.float64(x) for x in inputs.values()), strict=True))
    fewer, expected = (
        np.array([softmax(logits(classifier.weights, *task, steps)) for task in tasks])
        for steps in (STEPS - 1, STEPS)
    )
    np.testing.assert_allclose(answers, expected, atol=2e-3)
    assert np.abs(fewer - expected).max() > 0.01


def test_an_exported_classifier_classifies_a_users_images(
    classifier, photographs, tmp_path, capsys
):
    for label in range(WAY):
        shutil.copytree(photographs / "test" / f"test{label}", tmp_path / "support" / f"{label}")
    arguments = (f"--support={tmp_path}/support", f"--query={photographs}/test")
    picture = f"--picture={tmp_path}/sheet.png"
    model = f"--model={classifier.folder}/model"
    assert program.run("--predict", model, *arguments, picture) == 0
    assert len(re.findall(r"^\| test\d/", capsys.readouterr().out, re.MULTILINE)) == 4 * 16


def logits(weights, support_x, support_y, query_x, steps):
    """Of the queries after inner steps of the head, where its mask logits are positive."""
    kernel, bias, T = weights["w5"], weights["b5"], weights["w5_f"]
    of_kernel = weights["w5_prob"]
    of_bias = weights.get("b5_prob", of_kernel)
    if of_kernel.size == kernel.size:
        of_kernel = of_kernel.reshape(kernel.shape)
    support, query = (image_features(weights, x, max_pool=True) for x in (support_x, query_x))
    for _ in range(steps):
        dy = softmax((support @ kernel + bias) @ T) - support_y  # the sum over classes, K = 1
        dz = dy @ T.T
        kernel = kernel - ALPHA * (of_kernel >= 0) * (support.T @ dz)
        bias = bias - ALPHA * (of_bias >= 0) * dz.sum(0)
    return (query @ kernel + bias) @ T


def softmax(x):
    exponentials = np.exp(x - x.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


def refused(capsys, *arguments):
    """Run the command; return the one line that it ends with, after the progress of reading."""
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = [line for line in captured.err.splitlines() if not line.startswith("Reading ")]
    return line.removeprefix("error: ")


def without(weights, *keys):
    return {key: value for key, value in weights.items() if key not in keys}


def fully_connected(rng):
    """The original's other network for Omniglot, normalized, with 4 hidden layers."""
    sizes = [784, 256, 128, 64, 64, 5]
    layers = {}
    for i in range(5):
        layers[f"w{i + 1}"] = rng.normal(size=sizes[i : i + 2])
        layers[f"b{i + 1}"] = rng.normal(size=sizes[i + 1])
    return as_float32(layers)


NOT_OURS = {
    "two hidden layers of different widths": (
        lambda rng: regression(rng, "MAML") | {"w2": np.zeros([7, 9], np.float32)},
        r"model/Variable_2, W of layer 2, should be \[7, 7\] and is \[7, 9\]$",
    ),
    "no head": (
        lambda rng: without(regression(rng, "MAML"), "w3", "b3"),
        r"model/Variable_4, of 2 dimensions, is missing$",
    ),
    "the head without logits": (
        lambda rng: without(regression(rng, "M-net"), "w3_prob"),
        r"model/Variable_8, mask logits of layer 3, is missing$",
    ),
    "no logits of the biases": (
        lambda rng: without(images(rng, "unshared MT-net"), *(f"b{i}_prob" for i in range(1, 6))),
        r"model/Variable_5, mask logits of b of layer 1, should be \[4\] and is \[144\]$",
    ),
    "T in four layers": (
        lambda rng: without(images(rng, "MT-net"), "w5_f"),
        r"model/Variable_13, T of layer 5, is missing$",
    ),
    "layer normalization": (
        lambda rng: images(rng, "MAML") | {"0/gamma": np.ones(4, np.float32)},
        r"they have no place for model/0/gamma$",
    ),
    "one beta missing": (
        lambda rng: without(images(rng, "MAML"), "2/beta"),
        r"model/2/beta, beta of layer 3, is missing$",
    ),
    "larger kernels": (
        lambda rng: images(rng, "MAML") | {"conv1": np.zeros([5, 5, 1, 4], np.float32)},
        r"model/conv1, W of layer 1, should be \[3, 3, 1, 4\] and is \[5, 5, 1, 4\]$",
    ),
    "other images": (
        lambda rng: images(rng, "MAML", channels=2),
        r"model/conv1 is for images of 2 channels; Omniglot has 1, miniImagenet 3$",
    ),
    "no w5": (
        lambda rng: without(images(rng, "MAML"), "w5"),
        r"model/w5, of 2 dimensions, is missing$",
    ),
    "fully connected, for images": (
        fully_connected,
        r"model/Variable_2, W of layer 2, should be \[256, 256\] and is \[256, 128\]$",
    ),
    "normalized regression": (
        lambda rng: regression(rng, "MAML") | {"0/beta": np.zeros(HIDDEN, np.float32)},
        r"they have no place for model/0/beta$",
    ),
    "not finite": (
        lambda rng: images(rng, "MAML") | {"w5": np.full([4, 5], np.nan, np.float32)},
        r"model/w5 holds something else than finite float32 numbers$",
    ),
    "double precision": (
        lambda rng: as_float64(regression(rng, "MAML")),
        r"model/Variable holds something else than finite float32 numbers$",
    ),
    "the oracle's inputs": (
        lambda rng: regression(rng, "MAML", inputs=3),
        r"with 3 inputs and 1 outputs; --datasource=sinusoid has 1 and 1$",
    ),
}


@pytest.mark.parametrize(("weights", "line"), NOT_OURS.values(), ids=NOT_OURS)
def test_what_no_network_of_ours_is_gets_one_line(tmp_path, rng, capsys, weights, line):
    checkpoint = save(tmp_path, weights(rng))
    said = refused(capsys, f"--checkpoint={checkpoint}")
    assert said.startswith(f"--checkpoint={checkpoint}")
    assert re.search(line, said)


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


def pipe(file):
    """In place of a file, one of which nothing is ever read."""
    file.unlink()
    os.mkfifo(file)


DAMAGE = {
    "no index": lambda root: (root / "model59000.index").unlink(),
    "empty index": lambda root: cut(root / "model59000.index", 0),
    "cut index": lambda root: cut(root / "model59000.index", 200),
    "no data": lambda root: (root / "model59000.data-00000-of-00001").unlink(),
    "cut data": lambda root: cut(root / "model59000.data-00000-of-00001", 100),
    "data that never come": lambda root: pipe(root / "model59000.data-00000-of-00001"),
    "no TensorFlow file": lambda root: (root / "model59000.index").write_text("hello\n" * 100),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_files_that_are_no_checkpoint_get_one_line(tmp_path, rng, capsys, damage):
    checkpoint = save(tmp_path, images(rng, "MAML"))
    damage(tmp_path)
    said = refused(capsys, f"--checkpoint={checkpoint}")
    assert re.match(
        f"--checkpoint={checkpoint} (is damaged|is not a TensorFlow checkpoint|does not exist): .",
        said,
    )


def test_a_folder_is_asked_for_one_of_its_checkpoints(tmp_path, rng, capsys):
    (tmp_path / "empty").mkdir()
    assert refused(capsys, f"--checkpoint={tmp_path}/empty").endswith("is a folder: name another")
    checkpoint = save(tmp_path, images(rng, "MAML"))
    assert refused(capsys, f"--checkpoint={tmp_path}").endswith(
        f"is a folder: name one of its checkpoints, such as {checkpoint}"
    )


def test_a_checkpoint_of_one_file_is_told_from_none(tmp_path, capsys):
    """As TensorFlow wrote them before 1.0."""
    (tmp_path / "model59000").write_bytes(b"\x00" * 100)
    said = refused(capsys, f"--checkpoint={tmp_path}/model59000")
    assert "is a single file: a checkpoint is the files NAME.index and NAME.data-" in said


def test_a_checkpoint_of_something_else_is_told(tmp_path, capsys):
    path = tf.train.Checkpoint(step=tf.Variable(1)).save(str(tmp_path / "model"))
    said = refused(capsys, f"--checkpoint={path}")
    assert "is not of the original MAML or MT-net program" in said
    assert "step/.ATTRIBUTES/VARIABLE_VALUE" in said


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--datasource=omniglot"], "--datasource=omniglot is not what .*: give miniimagenet$"),
        (["--nomax_pool"], "--nomax_pool does not fit .* has max pooling$"),
        ([], "of a 7-way network for miniimagenet: .* between 1 and 4, .*, got 7$"),
        (["--data_path=nowhere"], "for miniimagenet: --data_path=nowhere does not exist"),
        (["--update_lr=0"], "--update_lr must be positive"),
        (["--num_updates=some"], "--num_updates"),
        (["--use_T"], "use_T"),
    ],
)
def test_flags_that_do_not_fit_get_one_line(tmp_path, rng, capsys, photographs, arguments, line):
    checkpoint = save(tmp_path, images(rng, "MAML", channels=3, way=7))
    if "--data_path=nowhere" not in arguments:
        arguments = [f"--data_path={photographs}", f"--cache_dir={tmp_path}/cache", *arguments]
    assert re.search(line, refused(capsys, f"--checkpoint={checkpoint}", *arguments))


def test_what_does_not_fit_into_memory_is_said_of_the_flags_that_there_are(
    tmp_path, rng, capsys, monkeypatch
):
    checkpoint = save(tmp_path, images(rng, "MAML", channels=3))
    monkeypatch.setattr(memory_needs, "memory_bytes", lambda: 10**7)
    said = refused(capsys, f"--checkpoint={checkpoint}", "--update_batch_size=50")
    line = (
        rf"--checkpoint={re.escape(str(checkpoint))} needs at least .*: most of it is for "
        r"--update_batch_size=50, query_batch_size=\d+, num_classes=5$"
    )
    assert re.match(line, said)


def test_a_regressor_is_of_sinusoids_or_polynomials(tmp_path, rng, capsys):
    checkpoint = save(tmp_path, regression(rng, "MAML"))
    said = refused(capsys, f"--checkpoint={checkpoint}", "--datasource=miniimagenet")
    assert said.endswith("give sinusoid or polynomial")
    arguments = (f"--checkpoint={checkpoint}", "--num_test_tasks=100")
    assert run(*arguments, "--datasource=polynomial", "--poly_order=2") == 0
    assert "MAML on polynomial" in capsys.readouterr().out


def test_the_checkpoint_must_be_named(capsys):
    assert refused(capsys).startswith("--checkpoint must name")


def test_what_a_checkpoint_holds_is_kept_as_it_is(tmp_path, rng):
    weights = regression(rng, "MT-net")
    values = read_original(save(tmp_path, weights)).values
    np.testing.assert_array_equal(values[Place("T", 1)], weights["w2_f"])
    np.testing.assert_array_equal(values[Place("mask logits", 2)], weights["w3_prob"])
