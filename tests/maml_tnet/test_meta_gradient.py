"""The second-order meta-gradient against finite differences and against the plain reference."""

import numpy as np
import pytest
import reference
import tensorflow as tf
from finite_differences import assert_gradients_along_random_directions, entrywise
from random_episodes import image_episode, randomize, regression_episode

from maml_tnet import ConvNet, MetaLearner, Regressor, adaptation_path, examples
from maml_tnet.losses import cross_entropy, squared_error
from maml_tnet.masks import relaxed_mask

MASK_SEED = (3, 4)


class TwoBlocks(ConvNet):
    """A first block and one that follows: of four, as Omniglot's and miniImagenet's below, most of
    the time is TensorFlow's tracing."""

    blocks = 2


# Every network with its image shape; what varies is what the meta-gradient has to pass through.
CONV_NETS = {
    "batch norm, strides": ((9, 8, 2), {"norm": "batch_norm"}),
    "batch norm, max pool, flat": (
        (16, 33, 1),
        {"norm": "batch_norm", "max_pool": True, "flatten": True},
    ),
    "layer norm, max pool": ((17, 16, 2), {"norm": "layer_norm", "max_pool": True}),
    "no norm, strides, flat": ((18, 17, 1), {"norm": None, "flatten": True}),
}


def regressor(rng, *, mask_per="unit", **arguments):
    network = Regressor(
        2, 1, dim_hidden=4, use_transform=True, mask_per=mask_per, dtype="float64", **arguments
    )
    randomize(network, rng)
    return network, regression_episode(rng, tasks=2, inputs=2)


def conv_net(rng, name, *, dtype="float64", mask_per="unit"):
    image_shape, arguments = CONV_NETS[name]
    network = TwoBlocks(
        image_shape,
        3,
        num_filters=3,
        use_transform=True,
        mask_per=mask_per,
        dtype=dtype,
        **arguments,
    )
    randomize(network, rng)
    return network, image_episode(rng, image_shape, dtype=dtype)


def meta_learner(network, episode, *, update_lr=0.1, **arguments):
    learner = MetaLearner(
        network,
        sample_episode=lambda iteration: episode,
        update_lr=update_lr,
        dtype=network.dtype,
        **arguments,
    )
    learner.compile(loss=cross_entropy if isinstance(network, ConvNet) else squared_error)
    return learner


def drawn_masks(learner, tasks, steps, seed):
    if not learner.network.mask_logits:
        return None
    return learner.masks(steps, learner.mask_noise(tasks, steps, seed))


def randomize_step_sizes(learner, rng):
    for alpha in learner.step_size_variables:
        alpha.assign(rng.uniform(0.02, 0.2, size=alpha.shape))


def reference_loss(learner, episode, masks):
    """The meta-objective, written plainly."""
    step_sizes = [learner.update_lr] * len(learner.network.initial_weights)
    return reference.meta_loss(
        learner.network,
        episode,
        classification=isinstance(learner.network, ConvNet),
        step_sizes=learner.step_size_variables or step_sizes,
        num_updates=learner.num_updates,
        masks=masks,
    )


def compiled_reference(learner, episode, masks):
    """The meta-objective as a fast function of the variables' values."""
    return tf.function(lambda: reference_loss(learner, episode, masks), autograph=False)


def without_mask_logits(learner, gradients):
    """(variables, gradients) of all but zeta, in which the hard masks are constant."""
    logits = {id(z) for z in learner.network.mask_logits}
    pairs = [
        (v, g)
        for v, g in zip(learner.trainable_variables, gradients, strict=True)
        if id(v) not in logits
    ]
    return zip(*pairs, strict=True)


@pytest.mark.parametrize("mask_per", ["unit", "weight"])
@pytest.mark.parametrize("num_updates", [1, 2, 3])
def test_regressor_against_finite_differences(rng, num_updates, mask_per):
    meta_sgd = (num_updates, mask_per) in [(1, "weight"), (2, "unit"), (3, "weight")]
    network, episode = regressor(rng, mask_per=mask_per)
    learner = meta_learner(network, episode, num_updates=num_updates, meta_sgd=meta_sgd)
    randomize_step_sizes(learner, rng)
    seed = tf.constant(MASK_SEED)
    masks = drawn_masks(learner, 2, num_updates, seed)
    assert {0.0, 1.0} == {float(v) for step in masks for m in step for v in np.ravel(m)}

    gradients, measures = learner.meta_gradient(episode, seed)
    objective = compiled_reference(learner, episode, masks)
    np.testing.assert_allclose(measures[1], objective(), rtol=1e-10)
    variables, gradients = without_mask_logits(learner, gradients)
    assert len(variables) == 9 + 6 * meta_sgd
    for variable, gradient in zip(variables, gradients, strict=True):
        np.testing.assert_allclose(gradient, entrywise(objective, variable), rtol=1e-5, atol=1e-7)


def test_conv_net_with_learned_step_sizes_against_finite_differences(rng):
    network, episode = conv_net(rng, "batch norm, strides")
    learner = meta_learner(network, episode, num_updates=2, meta_sgd=True)
    randomize_step_sizes(learner, rng)
    seed = tf.constant(MASK_SEED)
    objective = compiled_reference(learner, episode, drawn_masks(learner, 2, 2, seed))
    gradients, _ = learner.meta_gradient(episode, seed)
    variables, gradients = without_mask_logits(learner, gradients)
    assert len(variables) == 3 + 1 + 3 + 2 + 4
    assert_gradients_along_random_directions(objective, variables, gradients, rng)


def soft_masks(network, noise, temperature):
    masks = [
        relaxed_mask(tf.expand_dims(zeta, -2), tf.constant(n), temperature)
        for zeta, n in zip(network.mask_logits, noise, strict=True)
    ]
    return network.masks_of_weights(masks)


def check_gradient_through_soft_masks(network, episode, loss, num_updates, rng, exhaustive):
    """Of W, b, T, beta and zeta, with the draw of the noise held fixed."""
    temperature = 0.7
    tasks = episode.support_x.shape[0]
    noise = [
        [rng.logistic(size=[*z.shape[:-1], tasks, z.shape[-1]]) for z in network.mask_logits]
        for _ in range(num_updates)
    ]
    step_sizes = [0.1] * len(network.initial_weights)
    classification = loss is cross_entropy

    def gradient():
        with tf.GradientTape() as tape:
            support = examples(network, episode.support_x, episode.support_y)
            query = examples(network, episode.query_x, episode.query_y)
            *_, last = adaptation_path(
                network,
                loss,
                support,
                tasks=tasks,
                step_sizes=step_sizes,
                masks=[soft_masks(network, step, temperature) for step in noise],
            )
            outputs = network.forward(query.inputs, last.fast_weights)
            value = tf.reduce_mean(loss(outputs, query.targets, support.targets.shape[0]))
        return tape.gradient(value, network.trainable_variables)

    @tf.function(autograph=False)
    def objective():
        # Equation (11) written out, not `relaxed_mask`.
        masks = [
            [
                1 / (1 + tf.exp(-(tf.expand_dims(zeta, -2) + n) / temperature))
                for zeta, n in zip(network.mask_logits, step, strict=True)
            ]
            for step in noise
        ]
        return reference.meta_loss(
            network,
            episode,
            classification=classification,
            step_sizes=step_sizes,
            num_updates=num_updates,
            masks=[network.masks_of_weights(step) for step in masks],
        )

    variables = network.trainable_variables
    gradients = gradient()
    if exhaustive:
        for variable, value in zip(variables, gradients, strict=True):
            np.testing.assert_allclose(value, entrywise(objective, variable), rtol=1e-5, atol=1e-7)
    else:
        assert_gradients_along_random_directions(objective, variables, gradients, rng)
    zetas = {id(z) for z in network.mask_logits}
    moving = [
        np.linalg.norm(g) for v, g in zip(variables, gradients, strict=True) if id(v) in zetas
    ]
    assert min(moving) > 1e-6


@pytest.mark.parametrize(
    ("num_updates", "mask_per"), [(1, "unit"), (2, "weight"), (3, "unit"), (3, "weight")]
)
def test_regressor_through_soft_masks(rng, num_updates, mask_per):
    network, episode = regressor(rng, mask_per=mask_per)
    check_gradient_through_soft_masks(network, episode, squared_error, num_updates, rng, True)


@pytest.mark.parametrize("name", CONV_NETS)
def test_conv_net_through_soft_masks(rng, name):
    mask_per = "weight" if name.startswith("layer norm") else "unit"
    network, episode = conv_net(rng, name, mask_per=mask_per)
    check_gradient_through_soft_masks(network, episode, cross_entropy, 1, rng, False)


@pytest.mark.parametrize("name", ["regressor", "batch norm, max pool, flat"])
def test_first_order_freezes_the_inner_gradients(rng, name):
    if name == "regressor":
        network, episode = regressor(rng)
    else:
        network, episode = conv_net(rng, name, dtype="float32")
    learner = meta_learner(network, episode, num_updates=2, first_order=True)
    seed = tf.constant(MASK_SEED)
    gradients, _ = tf.function(learner.meta_gradient, autograph=False)(episode, seed)

    # With the inner gradients constant, what a task adds to W and b is a constant displacement.
    start, *_, end = learner.adapted(episode, 2, learner.mask_noise(2, 2, seed))[2]
    displacements = [a - b for a, b in zip(end.fast_weights, start.fast_weights, strict=True)]
    shot = episode.support_y.shape[1] / episode.support_y.shape[2]
    with tf.GradientTape() as tape:
        losses = []
        for task in range(2):
            weights = [
                w + d[..., task, :]
                for w, d in zip(network.initial_weights, displacements, strict=True)
            ]
            outputs = reference.task_outputs(network, weights, episode.query_x[task])
            losses.append(
                reference.task_loss(
                    outputs, episode.query_y[task], shot, isinstance(learner.network, ConvNet)
                )
            )
        loss = tf.add_n(losses) / 2
    variables, gradients = without_mask_logits(learner, gradients)
    assert_close(variables, gradients, tape.gradient(loss, variables), 1e-4)

    second_order = meta_learner(network, episode, num_updates=2)
    _, exact = without_mask_logits(
        second_order, tf.function(second_order.meta_gradient, autograph=False)(episode, seed)[0]
    )
    difference = [np.linalg.norm(a - b) for a, b in zip(gradients, exact, strict=True)]
    assert max(difference) > 1e-2, "the inner steps are too small to tell the two apart"


def assert_close(variables, gradients, expected, tolerance):
    """Relative to the largest gradient: of one that should be 0 there is only rounding."""
    scale = max(np.linalg.norm(g) / np.sqrt(np.size(g)) for g in expected)
    for variable, gradient, value in zip(variables, gradients, expected, strict=True):
        size = np.linalg.norm(value) + 1e-2 * scale * np.sqrt(np.size(value))
        error = np.linalg.norm(gradient - value) / size
        assert error < tolerance, (variable.name, tuple(variable.shape), error)


def check_against_reference(learner, episode, tolerance=1e-4):
    """All gradients, zeta's straight-through one too, by a tape through the plain formulation."""
    seed = tf.constant(MASK_SEED)
    gradients, measures = tf.function(learner.meta_gradient, autograph=False)(episode, seed)
    variables = learner.trainable_variables
    with tf.GradientTape() as tape:
        masks = drawn_masks(learner, episode.support_x.shape[0], learner.num_updates, seed)
        loss = reference_loss(learner, episode, masks)
    np.testing.assert_allclose(measures[1], loss, rtol=tolerance)
    assert_close(variables, gradients, tape.gradient(loss, variables), tolerance)


@pytest.mark.parametrize(
    ("name", "mask_per"), list(zip(CONV_NETS, ["unit", "weight", "unit", None], strict=True))
)
def test_grouped_convolutions_equal_the_plain_ones(rng, name, mask_per):
    network, episode = conv_net(rng, name, dtype="float32", mask_per=mask_per)
    learner = meta_learner(network, episode, num_updates=2, meta_sgd=name.startswith("no norm"))
    randomize_step_sizes(learner, rng)
    check_against_reference(learner, episode)


def test_omniglot_meta_gradient_equals_the_plain_one(rng):
    network = ConvNet(num_filters=16, use_transform=True, mask_per="unit")
    episode = image_episode(rng, (28, 28, 1), tasks=3, way=5, shot=1, query=1, dtype="float32")
    learner = meta_learner(network, episode, num_updates=1, update_lr=0.4)
    check_against_reference(learner, episode)


def test_meta_gradient_in_parts_equals_the_plain_one(rng, monkeypatch):
    network = TwoBlocks((9, 8, 2), 3, num_filters=3, use_transform=True, mask_per="weight")
    randomize(network, rng)
    episode = image_episode(rng, (9, 8, 2), tasks=4, dtype="float32")
    monkeypatch.setattr("maml_tnet.conv_net.CACHED_NUMBERS", 2 * 6 * 5 * 4 * 3)
    assert network.part_of(4, episode.support_x) == 2
    check_against_reference(meta_learner(network, episode, num_updates=2), episode)


def test_miniimagenet_meta_gradient_equals_the_plain_one(rng):
    network = ConvNet(
        (42, 42, 3), num_filters=8, max_pool=True, flatten=True, use_transform=True, mask_per="unit"
    )
    episode = image_episode(rng, (42, 42, 3), tasks=2, way=5, shot=1, query=3, dtype="float32")
    learner = meta_learner(network, episode, num_updates=3, update_lr=0.01)
    check_against_reference(learner, episode)


@pytest.mark.parametrize("kind", ["regressor", "conv net"])
def test_identity_transform_and_full_mask_have_mamls_meta_gradient(rng, kind):
    def build(**arguments):
        if kind == "regressor":
            return Regressor(dim_hidden=6, dtype="float64", **arguments)
        return TwoBlocks((9, 8, 2), 3, num_filters=4, **arguments)

    maml = build()
    randomize(maml, rng)
    mt_net = build(use_transform=True, mask_per="unit", logit_init=100.0)
    for target, source in zip(mt_net.initial_weights, maml.initial_weights, strict=True):
        target.assign(source.numpy())
    if kind == "conv net":
        for target, source in zip(mt_net.normalizations, maml.normalizations, strict=True):
            target.beta.assign(source.beta.numpy())
        episode = image_episode(rng, (9, 8, 2), dtype="float32")
    else:
        episode = regression_episode(rng)
    gradients = []
    for network in (maml, mt_net):
        learner = meta_learner(network, episode, num_updates=2 if kind == "regressor" else 1)
        gradient, measures = tf.function(learner.meta_gradient, autograph=False)(
            episode, tf.constant(MASK_SEED)
        )
        by_variable = dict(zip(map(id, learner.trainable_variables), gradient, strict=True))
        gradients.append([by_variable[id(w)] for w in network.initial_weights] + measures[:2])
    tolerance = 1e-12 if kind == "regressor" else 1e-4
    assert_close([*maml.initial_weights, *maml.initial_weights[:2]], *gradients, tolerance)
