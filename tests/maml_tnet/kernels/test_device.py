"""What is computed on a GPU, computed here."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from random_episodes import image_episode, randomize

from maml_tnet import ConvNet, MetaLearner, PrototypeConvNet
from maml_tnet.kernels import device
from maml_tnet.losses import cross_entropy


class TwoBlocks(ConvNet):
    """The first block is another than those that follow, which are alike."""

    blocks = 2


SHAPE = (16, 17, 2)
PRODUCTS = ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "Conv2D")
OPTIONS = {
    "strides": {},
    "pooling": {"max_pool": True, "flatten": True, "use_transform": True, "mask_per": "unit"},
    "layer norm": {"norm": "layer_norm"},
}


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    monkeypatch.setattr(device, "forms", lambda: device.GPU)


def learner(network, data):
    made = MetaLearner(network, sample_episode=lambda i: data, update_lr=0.1, num_updates=1)
    made.compile(loss=cross_entropy)
    return made


def network(options, dtype="float64"):
    made = TwoBlocks(SHAPE, 3, num_filters=3, dtype=dtype, **options)
    randomize(made, np.random.default_rng(1))
    return made


@pytest.mark.parametrize("name", OPTIONS)
def test_the_meta_gradient_is_that_of_a_cpu(rng, monkeypatch, name):
    data = image_episode(rng, SHAPE)
    made = learner(network(OPTIONS[name]), data)
    gradients = []
    for forms in (device.CPU, device.GPU):
        monkeypatch.setattr(device, "forms", lambda forms=forms: forms)
        step = tf.function(lambda: made.meta_gradient(data, tf.constant([0, 1])), autograph=False)
        gradients.append(step()[0])
    for here, there in zip(*gradients, strict=True):
        scale = np.abs(here).max()
        np.testing.assert_allclose(here, there, rtol=1e-7, atol=1e-9 * scale)
    assert any(np.any(a != b) for a, b in zip(*gradients, strict=True)), "the forms are the same"


def products(function):
    graph = tf.function(function, autograph=False).get_concrete_function().graph.as_graph_def()
    bodies = [graph.node, *(f.node_def for f in graph.library.function)]
    found = Counter(node.op for body in bodies for node in body)
    return sum(found[op] for op in PRODUCTS)


def test_no_statistic_is_a_product_which_would_have_10_bits(rng, as_on_a_gpu):
    x = tf.constant(rng.uniform(size=[2, 6, *SHAPE]), "float32")
    labels = tf.one_hot([[0, 1]] * 6, 3)
    plain = network({}, "float32")
    weights = plain.initial_fast_weights(2)
    assert products(lambda: plain.forward(plain.prepare(x), weights)) == 3  # as many as layers
    alone = PrototypeConvNet(SHAPE, num_filters=3)
    # One for each convolution, none for the prototypes.
    assert products(lambda: alone.start(alone.prepare(x), labels, 2)) == alone.blocks


def test_on_a_cpu_the_first_blocks_statistics_are_products(rng):
    x = tf.constant(rng.uniform(size=[2, 6, *SHAPE]), "float32")
    plain = network({}, "float32")
    weights = plain.initial_fast_weights(2)
    assert products(lambda: plain.forward(plain.prepare(x), weights)) > 3


def test_the_device_decides(monkeypatch):
    for found, forms in (([], device.CPU), (["a GPU"], device.GPU)):
        monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind, found=found: found)
        assert device.forms() == forms
