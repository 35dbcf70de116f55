"""The form for single pictures: against a plain reference, finite differences and symmetries."""

import numpy as np
import pytest
import tensorflow as tf
from component_contract import check_call_modes, check_configuration_round_trip
from finite_differences import assert_gradients_along_random_directions
from random_episodes import Episode, image_episode

from maml_tnet import MetaLearner, PrototypeConvNet, export
from maml_tnet.losses import class_mean_cross_entropy

SEED = (3, 4)
# Every method, with different networks and numbers of inner steps.
METHODS = {
    "MAML": ({}, {}),
    "Meta-SGD": ({"max_pool": True, "flatten": True}, {"meta_sgd": True}),
    "T-net": ({"use_transform": True, "flatten": True}, {"num_updates": 2}),
    "MT-net": ({"use_transform": True, "mask_per": "unit"}, {"num_updates": 2}),
    "masks per weight": (
        {"use_transform": True, "mask_per": "weight", "norm": None},
        {"num_updates": 2},
    ),
}
IMAGE = (17, 16, 1)


class TwoBlocks(PrototypeConvNet):
    """A first block and one that follows; `mt_net` has the paper's four."""

    blocks = 2


def learner_of(name, *, kind=TwoBlocks, dtype="float64", **changes):
    network_arguments, arguments = METHODS[name]
    network = kind(IMAGE, num_filters=3, dtype=dtype, **network_arguments)
    rng = np.random.default_rng(1)
    for variable in network.trainable_variables:
        variable.assign(variable + 0.2 * rng.normal(size=variable.shape))
    arguments = {"update_lr": 0.3, "num_updates": 1} | arguments | changes
    learner = MetaLearner(network, sample_episode=lambda i: None, dtype=dtype, **arguments)
    learner.compile(loss=class_mean_cross_entropy)
    return learner


@pytest.fixture(scope="module", params=METHODS)
def learner(request):
    return learner_of(request.param)


@pytest.fixture(scope="module")
def mt_net():
    """It, and its `adapt_and_predict` of two steps, compiled for sizes as they come."""
    learner = learner_of("MT-net", kind=PrototypeConvNet)
    specs = [[None, None, *IMAGE], [None, None, None], [None, None, *IMAGE]]
    answer = tf.function(
        lambda *inputs: learner.adapt_and_predict(*inputs, 2),
        autograph=False,
        input_signature=[tf.TensorSpec(spec, "float64") for spec in specs],
    )
    return learner, answer


def unequal_episode(rng, counts, queries=4):
    """One task with so many pictures of every class."""
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    asked = rng.integers(len(counts), size=queries)
    x, query_x = (rng.uniform(size=[1, n, *IMAGE]) for n in (len(labels), queries))
    eye = np.eye(len(counts))
    return Episode(*map(tf.constant, (x, eye[labels][np.newaxis], query_x, eye[asked][np.newaxis])))


def plain_features(network, kernels, support, query=None):
    """Features of the support set, or of one query beside it; one task, textbook operations."""
    arguments, remaining = network.arguments, list(kernels)
    x, queries = support, None if query is None else query[tf.newaxis]
    for block, layer in enumerate(network.transform_layers[:-1]):
        weights = [remaining.pop(0) for _ in layer.initial_weights]
        y = plain_linear(layer, weights, x)
        x = plain_block_end(network, block, y, batch=y)
        if queries is not None:
            own = plain_linear(layer, weights, queries)
            queries = plain_block_end(network, block, own, batch=tf.concat([y, own], axis=0))
    x = x if queries is None else queries
    return tf.reshape(x, [x.shape[0], -1]) if arguments["flatten"] else tf.reduce_mean(x, [1, 2])


def plain_linear(layer, weights, x):
    y = tf.nn.conv2d(x, weights[0], layer.strides, "SAME")
    y = y if layer.bias is None else y + weights[1]
    return y if layer.transform is None else tf.matmul(y, tf.convert_to_tensor(layer.transform))


def plain_block_end(network, block, y, batch):
    """Normalization of y by the statistics of a batch, ReLU and pooling."""
    if network.arguments["norm"] is not None:
        mean = tf.reduce_mean(batch, [0, 1, 2])
        variance = tf.reduce_mean((batch - mean) ** 2, [0, 1, 2])
        beta = tf.convert_to_tensor(network.normalizations[block].beta)
        y = (y - mean) / tf.sqrt(variance + 1e-3) + beta
    y = tf.nn.relu(y)
    return tf.nn.max_pool2d(y, 2, 2, "VALID") if network.arguments["max_pool"] else y


def plain_loss(logits, labels):
    """The mean over classes of the mean cross-entropy of their examples."""
    errors = tf.nn.softmax_cross_entropy_with_logits(labels, logits)
    of_class = np.argmax(labels, 1)
    return tf.reduce_mean([tf.reduce_mean(errors[of_class == c]) for c in np.unique(of_class)])


def plain_task(learner, task, masks):
    """Query logits [queries, way] of one task of one-hot labels, one query after the other."""
    network = learner.network
    head = network.transform_layers[-1]
    a = 1.0 if head.transform is None else tf.convert_to_tensor(head.transform)
    s = tf.exp(head.log_scale)
    kernels = [tf.convert_to_tensor(w) for w in network.initial_weights]
    features = plain_features(network, kernels, task.support_x)
    of_class = np.argmax(task.support_y, 1)
    p = tf.stack([tf.reduce_mean(features[of_class == c], 0) for c in range(of_class.max() + 1)], 1)
    weights = [*kernels, 2 * s * p, -s * tf.reduce_sum(p**2, 0)]
    for step in masks:
        with tf.GradientTape() as tape:
            tape.watch(weights)
            features = plain_features(network, weights[:-2], task.support_x)
            logits = a * (tf.matmul(features, weights[-2]) + weights[-1])
            loss = plain_loss(logits, task.support_y)
        gradients = tape.gradient(loss, weights)
        alphas = learner.step_size_variables or [learner.update_lr] * len(weights)
        weights = [
            w - alpha * m * g
            for w, alpha, m, g in zip(weights, alphas, step, gradients, strict=True)
        ]
    features = [
        plain_features(network, weights[:-2], task.support_x, query)
        for query in tf.unstack(task.query_x)
    ]
    return a * (tf.matmul(tf.concat(features, 0), weights[-2]) + weights[-1])


def drawn_masks(learner, tasks):
    steps = learner.num_updates
    noise = learner.mask_noise(tasks, steps, tf.constant(SEED))
    masks = learner.masks(steps, noise)
    return [
        [[m if isinstance(m, int) else m[..., task, :] for m in step] for step in masks]
        for task in range(tasks)
    ]


def test_meta_gradient_against_the_plain_form_and_finite_differences(learner, rng):
    episode = image_episode(rng, IMAGE, tasks=2, way=3, shot=2, query=1)
    tasks = [Episode(*(part[task] for part in episode)) for task in range(2)]
    masks = drawn_masks(learner, 2)

    @tf.function(autograph=False)
    def objective():
        return tf.reduce_mean(
            [
                plain_loss(plain_task(learner, task, own), task.query_y)
                for task, own in zip(tasks, masks, strict=True)
            ]
        )

    gradients, measures = tf.function(learner.meta_gradient, autograph=False)(
        episode, tf.constant(SEED)
    )
    np.testing.assert_allclose(measures[1], objective(), rtol=1e-9)
    logits = {id(z) for z in learner.network.mask_logits}
    pairs = [
        (v, g)
        for v, g in zip(learner.trainable_variables, gradients, strict=True)
        if id(v) not in logits  # hard masks are constant in these
    ]
    variables, gradients = zip(*pairs, strict=True)
    assert all(np.any(g != 0) for g in gradients)
    assert_gradients_along_random_directions(objective, variables, gradients, rng, directions=1)


@pytest.mark.parametrize("counts", [[1, 1], [3, 1, 2], [2] * 11])
def test_any_number_of_classes_and_pictures_against_the_plain_form(mt_net, rng, counts):
    learner, answer = mt_net
    episode = unequal_episode(rng, counts)
    found = answer(*episode[:3])
    most_likely = learner.masks(2, noise=[])
    masks = [[m[..., 0, :] for m in step] for step in most_likely]
    expected = plain_task(learner, Episode(*(part[0] for part in episode)), masks)
    assert found.shape == [1, 4, len(counts)]
    np.testing.assert_allclose(found[0], tf.nn.softmax(expected), rtol=1e-8)


@pytest.mark.parametrize("name", ["Meta-SGD", "masks per weight"])
def test_what_is_learned_once_answers_against_the_plain_form(name, rng):
    """With pooling and without normalization; `mt_net` has neither."""
    learner = learner_of(name)
    episode = unequal_episode(rng, [2, 1])
    steps = learner.num_updates
    found = learner.answer(episode.query_x, learner.learn(*episode[:2], steps))
    masks = [
        [m if isinstance(m, int) else m[..., 0, :] for m in step]
        for step in learner.masks(steps, noise=[])
    ]
    expected = plain_task(learner, Episode(*(part[0] for part in episode)), masks)
    np.testing.assert_allclose(found[0], tf.nn.softmax(expected), rtol=1e-7, atol=1e-12)


def test_a_query_has_the_same_answer_alone_among_others_and_in_any_order(mt_net, rng):
    _, answer = mt_net
    episode = unequal_episode(rng, [1, 2, 1], queries=6)
    together = answer(*episode[:3])
    order = rng.permutation(6)
    mixed = answer(*episode[:2], tf.gather(episode.query_x, order, axis=1))
    np.testing.assert_allclose(mixed, together.numpy()[:, order], rtol=1e-9)
    for query in range(6):
        alone = answer(*episode[:2], episode.query_x[:, query : query + 1])
        np.testing.assert_allclose(alone[:, 0], together[:, query], rtol=1e-9)


def test_renaming_the_classes_renames_the_answers(mt_net, rng):
    _, answer = mt_net
    episode = unequal_episode(rng, [2, 1, 3, 1, 2])
    before = answer(*episode[:3]).numpy()
    for _ in range(3):
        order = rng.permutation(5)
        renamed = tf.gather(episode.support_y, order, axis=2)
        found = answer(episode.support_x, renamed, episode.query_x)
        np.testing.assert_allclose(found, before[..., order], rtol=1e-9)
    shuffled = rng.permutation(9)
    parts = [tf.gather(part, shuffled, axis=1) for part in episode[:2]]
    np.testing.assert_allclose(answer(*parts, episode.query_x), before, rtol=1e-9)


def test_inner_steps_matter_and_maml_is_an_mt_net_with_identity_and_full_masks(rng):
    maml, mt_net = learner_of("MAML", num_updates=2), learner_of("MT-net")
    values = {
        "transform": lambda v: np.eye(v.shape[0]) if len(v.shape) else 1.0,
        "mask_logits": lambda v: np.full(v.shape, 9.0),
    }
    like = iter(maml.network.trainable_variables)
    for variable in mt_net.network.trainable_variables:
        name = variable.name.split("/")[-1].split(":")[0]
        variable.assign(values[name](variable) if name in values else next(like))
    episode = unequal_episode(rng, [2, 2, 1])
    found = [learner.adapt_and_predict(*episode[:3], 2) for learner in (maml, mt_net)]
    np.testing.assert_allclose(*found, rtol=1e-9)
    assert np.abs(found[0] - maml.adapt_and_predict(*episode[:3], 0)).max() > 1e-3


@pytest.mark.parametrize("name", ["MT-net", "Meta-SGD"])
def test_component_contract(name, rng):
    network = learner_of(name, kind=PrototypeConvNet, dtype="float32").network
    x = tf.constant(rng.uniform(size=[2, 6, *IMAGE]), tf.float32)
    check_call_modes(network, x)
    copy = check_configuration_round_trip(network, x)
    assert "outputs" not in copy.get_config()
    assert copy.outputs_per_example is None
    assert not copy.queries_influence_each_other


def test_float16_is_refused():
    with pytest.raises(ValueError, match=r"^dtype must be float32, .* or bfloat16, got float16"):
        PrototypeConvNet(IMAGE, num_filters=2, norm=None, dtype="float16")


def test_export_takes_the_way_as_it_comes(tmp_path, rng):
    learner = learner_of("MT-net", dtype="float32")
    example = Episode(*(tf.cast(part, tf.float32) for part in unequal_episode(rng, [1, 2])))
    support_x, support_y, query_x, _ = example
    export(
        learner,
        tmp_path / "model",
        support_x=support_x,
        support_y=support_y,
        query_x=query_x,
        extra_files={},
    )
    signature = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"]
    for counts in ([2, 1], [1, 3, 2], [1] * 50):
        episode = [tf.cast(part, tf.float32) for part in unequal_episode(rng, counts)]
        inputs = dict(zip(("support_x", "support_y", "query_x"), episode, strict=False))
        found = signature(**inputs)["predictions"]
        expected = learner.adapt_and_predict(*episode[:3], learner.num_updates)
        assert found.shape == [1, 4, len(counts)]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        alone = signature(**inputs | {"query_x": episode[2][:, 1:2]})["predictions"]
        np.testing.assert_allclose(alone[:, 0], found[:, 1], atol=1e-5)
