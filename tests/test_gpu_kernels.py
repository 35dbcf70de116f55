"""Every operation of a meta-iteration has a kernel for GPUs; none is at hand here to run it."""

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from tensorflow.python.framework import kernels  # nothing public says what is registered

from data_generators import MiniImagenet, Omniglot, Polynomial, Sinusoid
from utils.command.flags import config_from_flags, define, parse
from utils.runs.assembly import build_learner

# Reads images that lie in a file, on the host.
ON_THE_HOST = {"PyFunc"}
SMALL = (
    "--use_T",
    "--use_M",
    "--meta_batch_size=2",
    "--num_filters=2",
    "--num_updates=1",
    "--dim_hidden=2",
)


def photographs():
    pixels = np.zeros([30, 84, 84, 3], np.uint8)
    rows = {
        split: {f"{split}{i}": np.arange(5) + 5 * i for i in range(2)}
        for split in ("train", "val", "test")
    }
    return MiniImagenet("miniimagenet", rows, pixels, 2)


SOURCES = {
    "sinusoid": Sinusoid,
    "polynomial": lambda: Polynomial(2),
    "omniglot": lambda: Omniglot(
        [f"character{i:04}" for i in range(1623)], np.zeros([1623, 20, 28, 28], np.uint8), 2
    ),
    "miniimagenet": photographs,
}


def config(*arguments):
    flag_values = define(flags.FlagValues())
    parse(["main.py", *arguments], flag_values)
    return config_from_flags(flag_values)


def runs_on_gpus(node):
    """Whether a kernel for GPUs, or for every device, takes the operation's types."""
    return any(
        kernel.device_type in ("GPU", "DEFAULT")
        and all(
            node.attr[limit.name].type in limit.allowed_values.list.type
            for limit in kernel.constraint
            if limit.allowed_values.list.type
        )
        for kernel in kernels.get_registered_kernels_for_op(node.op).kernel
    )


@pytest.mark.skipif(not tf.test.is_built_with_cuda(), reason="TensorFlow has no kernels for GPUs")
@pytest.mark.parametrize("name", SOURCES)
def test_every_operation_of_a_meta_iteration_has_a_gpu_kernel(name):
    images = name in ("omniglot", "miniimagenet")
    way = ("--num_classes=2", "--query_batch_size=1") if images else ()
    learner = build_learner(config(f"--datasource={name}", *way, *SMALL), SOURCES[name]())
    step = tf.function(learner.meta_step)
    graph = step.get_concrete_function(tf.TensorSpec([], tf.int32)).graph.as_graph_def()
    functions = {f.signature.name: f.node_def for f in graph.library.function}
    nodes = [*graph.node, *(node for body in functions.values() for node in body)]
    calls_functions = {n.op for n in nodes if any(a.func.name for a in n.attr.values())}
    missing = {
        f"{node.op} of {tf.as_dtype(node.attr['T'].type or tf.float32.as_datatype_enum).name}"
        for node in nodes
        if node.op not in functions
        and node.op not in calls_functions
        and node.op not in ON_THE_HOST
        and not runs_on_gpus(node)
    }
    assert missing == set()
    assert "Gather" in " ".join(node.op for node in nodes) or not images
