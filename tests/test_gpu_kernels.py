"""Every operation of a meta-iteration has a kernel for GPUs; none is at hand here to run it."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from tensorflow.python.framework import kernels  # nothing public says what is registered

from data_generators import Images, MiniImagenet, Omniglot, Polynomial, Sinusoid
from maml_tnet import ConvNet
from maml_tnet.compat import tf_variable
from maml_tnet.kernels import device
from utils.command.flags import config_from_flags, define, parse
from utils.runs.assembly import build_learner
from utils.runs.datasets import training_spans

SMALL = (
    "--meta_batch_size=2",
    "--num_filters=2",
    "--num_updates=1",
    "--dim_hidden=2",
)


def photographs(kind, side):
    pixels = np.random.default_rng(0).integers(0, 256, [60, side, side, 3], np.uint8)
    rows = {
        split: {f"{split}{i}": np.arange(5) + 5 * i + first for i in range(2)}
        for first, split in ((0, "train"), (10, "val"), (20, "test"))
    }
    source = kind(kind.__name__.lower(), rows, pixels, 2)
    source.device_bytes = device.forms().image_bytes
    return source


SOURCES = {
    "sinusoid": Sinusoid,
    "polynomial": lambda: Polynomial(2),
    "omniglot": lambda: Omniglot(
        [f"character{i:04}" for i in range(1623)], np.zeros([1623, 20, 28, 28], np.uint8), 2
    ),
    "miniimagenet": lambda: photographs(MiniImagenet, 84),
    "images": lambda: photographs(Images, 17),  # whose bytes fill no whole words
}


def config(*arguments):
    flag_values = define(flags.FlagValues())
    parse(["main.py", *arguments], flag_values)
    return config_from_flags(flag_values)


@functools.cache
def kernels_of(operation):
    return kernels.get_registered_kernels_for_op(operation).kernel


def runs_on_gpus(node):
    """Whether a kernel for GPUs, or for every device, takes the operation's types."""
    return any(
        kernel.device_type in ("GPU", "DEFAULT")
        and all(
            node.attr[limit.name].type in limit.allowed_values.list.type
            for limit in kernel.constraint
            if limit.allowed_values.list.type
        )
        for kernel in kernels_of(node.op)
    )


@pytest.fixture(autouse=True)
def two_blocks(monkeypatch):
    """Which have every operation that four have."""
    monkeypatch.setattr(ConvNet, "blocks", 2)


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    monkeypatch.setattr(device, "forms", lambda: device.GPU)


@pytest.mark.skipif(not tf.test.is_built_with_cuda(), reason="TensorFlow has no kernels for GPUs")
@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.usefixtures("as_on_a_gpu")
def test_every_operation_of_a_meta_iteration_has_a_gpu_kernel(name):
    images = name in ("omniglot", "miniimagenet", "images")
    way = ("--num_classes=2", "--query_batch_size=1") if images else ()
    learner = build_learner(
        config(f"--datasource={name}", *way, *SMALL, "--use_T", "--use_M"), SOURCES[name]()
    )
    step = tf.function(learner.meta_step, autograph=False)
    graph = step.get_concrete_function(tf.TensorSpec([], tf.int32)).graph.as_graph_def()
    functions = {f.signature.name: f.node_def for f in graph.library.function}
    nodes = [*graph.node, *(node for body in functions.values() for node in body)]
    calls_functions = {n.op for n in nodes if any(a.func.name for a in n.attr.values())}
    missing = {
        f"{node.op} of {tf.as_dtype(node.attr['T'].type or tf.float32.as_datatype_enum).name}"
        for node in nodes
        if node.op not in functions and node.op not in calls_functions and not runs_on_gpus(node)
    }
    assert missing == set()
    assert "Gather" in " ".join(node.op for node in nodes) or not images


def trained():
    arguments = (
        "--datasource=images",
        "--image_size=17",
        "--num_classes=2",
        "--query_batch_size=1",
    )
    learner = build_learner(config(*arguments, *SMALL), SOURCES["images"]())
    learner.fit(training_spans([(0, 2), (2, 3)]), shuffle=False, verbose=0)
    return [tf_variable(variable).numpy() for variable in learner.trainable_variables]


def test_a_run_as_on_a_gpu_compiled_by_xla_has_the_weights_of_one_on_a_cpu(request, monkeypatch):
    monkeypatch.setattr(ConvNet, "blocks", 1)  # XLA takes its time
    expected = trained()
    request.getfixturevalue("as_on_a_gpu")
    for here, there in zip(trained(), expected, strict=True):
        np.testing.assert_allclose(here, there, 1e-3, 1e-4)
