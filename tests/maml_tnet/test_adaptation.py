"""The inner loop, and what the paper proves about it (section 4, appendices A and B)."""

import itertools

import numpy as np
import pytest
import reference
import tensorflow as tf
from linear_network import LinearNetwork, half_squared_error
from random_episodes import image_episode, randomize, regression_episode

from maml_tnet import ConvNet, Regressor, adaptation_path, examples
from maml_tnet.losses import cross_entropy, squared_error

TASKS = 3


def walk(network, episode, *, masks=None, update_lr=0.05, num_updates=2, **options):
    """The path of an episode's tasks, as a list."""
    loss = cross_entropy if isinstance(network, ConvNet) else squared_error
    path = adaptation_path(
        network,
        options.pop("loss", loss),
        examples(network, episode.support_x, episode.support_y),
        tasks=episode.support_x.shape[0],
        step_sizes=[update_lr] * len(network.initial_weights),
        masks=masks or no_masks(network, num_updates),
        **options,
    )
    return list(path)


def no_masks(network, num_updates):
    return [[1] * len(network.initial_weights)] * num_updates


def make(kind, rng, *, use_transform=True, mask_per="unit"):
    if kind == "regressor":
        network = Regressor(
            2, 3, dim_hidden=6, use_transform=use_transform, mask_per=mask_per, dtype="float64"
        )
        return network, regression_episode(rng, tasks=TASKS, inputs=2, outputs=3)
    network = ConvNet((9, 8, 2), 3, num_filters=4, use_transform=use_transform, mask_per=mask_per)
    return network, image_episode(rng, (9, 8, 2), tasks=TASKS, dtype="float32")


def draw_masks(network, rng, steps=2):
    return [
        [
            tf.constant(rng.integers(2, size=[*w.shape[:-1], TASKS, w.shape[-1]]), network.dtype)
            for w in network.initial_weights
        ]
        for _ in range(steps)
    ]


@pytest.fixture(params=["regressor", "conv net"])
def kind(request):
    return request.param


def tolerance(kind):
    return {"rtol": 1e-10, "atol": 1e-12} if kind == "regressor" else {"rtol": 1e-4, "atol": 1e-5}


def test_steps_are_equation_8_task_by_task(kind, rng):
    network, episode = make(kind, rng)
    randomize(network, rng)
    masks = draw_masks(network, rng)
    path = walk(network, episode, masks=masks)
    assert len(path) == 3
    for task in range(TASKS):
        for steps in (1, 2):
            plain = reference.inner_steps(
                network,
                [tf.convert_to_tensor(w) for w in network.initial_weights],
                episode.support_x[task],
                episode.support_y[task],
                classification=kind != "regressor",
                step_sizes=[0.05] * len(network.initial_weights),
                num_updates=steps,
                masks=[[m[..., task, :] for m in step] for step in masks],
            )
            for ours, theirs in zip(path[steps].fast_weights, plain, strict=True):
                np.testing.assert_allclose(ours[..., task, :], theirs, **tolerance(kind))


def test_path_starts_at_the_meta_learned_weights(kind, rng):
    network, episode = make(kind, rng)
    randomize(network, rng)
    start = walk(network, episode, num_updates=0)
    assert len(start) == 1
    assert start[0].support_outputs is None
    for weight, copies in zip(network.initial_weights, start[0].fast_weights, strict=True):
        for task in range(TASKS):
            np.testing.assert_array_equal(copies[..., task, :], weight.numpy())


def test_support_outputs_are_those_before_the_step(kind, rng):
    network, episode = make(kind, rng)
    randomize(network, rng)
    path = walk(network, episode)
    for before, after in itertools.pairwise(path):
        outputs = network.forward(network.prepare(episode.support_x), before.fast_weights)
        np.testing.assert_allclose(after.support_outputs, outputs, **tolerance(kind))


def test_parameters_are_left_as_they_were(kind, rng):
    network, episode = make(kind, rng)
    randomize(network, rng)
    before = [v.numpy() for v in network.variables]
    walk(network, episode, masks=draw_masks(network, rng))
    for variable, value in zip(network.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_only_masked_units_move(kind, rng):
    network, episode = make(kind, rng)
    randomize(network, rng)
    masks = draw_masks(network, rng, steps=1) * 2
    start, *_, end = walk(network, episode, masks=masks)
    moved = 0
    for before, after, mask in zip(start.fast_weights, end.fast_weights, masks[0], strict=True):
        np.testing.assert_array_equal(after[mask == 0], before[mask == 0])
        moved += np.sum(after != before)
    assert moved > 0


def test_zero_mask_is_no_adaptation_and_a_mask_of_ones_is_none(kind, rng):
    network, episode = make(kind, rng)
    randomize(network, rng)
    shapes = [tf.shape(w) for w in walk(network, episode, num_updates=0)[0].fast_weights]
    zeros = [[tf.zeros(s, network.dtype) for s in shapes]] * 2
    ones = [[tf.ones(s, network.dtype) for s in shapes]] * 2
    start, *_, end = walk(network, episode, masks=zeros)
    without = walk(network, episode)[-1]
    full = walk(network, episode, masks=ones)[-1]
    for i, weight in enumerate(start.fast_weights):
        np.testing.assert_array_equal(end.fast_weights[i], weight)
        np.testing.assert_array_equal(full.fast_weights[i], without.fast_weights[i])


def test_tasks_do_not_influence_each_other(kind, rng):
    network, episode = make(kind, rng)
    randomize(network, rng)
    masks = draw_masks(network, rng)
    together = walk(network, episode, masks=masks)[-1].fast_weights
    for task in range(TASKS):
        own = [[m[..., task : task + 1, :] for m in step] for step in masks]
        alone = walk(network, episode.task(task), masks=own)[-1].fast_weights
        for a, b in zip(alone, together, strict=True):
            np.testing.assert_allclose(a[..., 0, :], b[..., task, :], **tolerance(kind))


def test_another_task_in_the_batch_changes_nothing(kind, rng):
    network, episode = make(kind, rng)
    randomize(network, rng)
    disturbed = episode._replace(
        support_x=tf.concat([episode.support_x[:2], 10 * episode.support_x[2:]], 0)
    )
    weights, others = (walk(network, e)[-1].fast_weights for e in (episode, disturbed))
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_array_equal(a[..., :2, :], b[..., :2, :])
    assert any(np.any(a[..., 2, :] != b[..., 2, :]) for a, b in zip(weights, others, strict=True))


def test_identity_transform_and_full_mask_are_maml(kind, rng):
    mt_net, episode = make(kind, rng)
    maml, _ = make(kind, rng, use_transform=False, mask_per=None)
    randomize(maml, rng)
    for target, source in zip(mt_net.initial_weights, maml.initial_weights, strict=True):
        target.assign(source.numpy())
    if kind == "conv net":
        for target, source in zip(mt_net.normalizations, maml.normalizations, strict=True):
            target.beta.assign(source.beta.numpy())
    ones = [tf.ones([TASKS, w.shape[-1]], mt_net.dtype) for w in mt_net.initial_weights]
    ours = walk(mt_net, episode, masks=[ones] * 2)[-1].fast_weights
    theirs = walk(maml, episode)[-1].fast_weights
    exact = {"rtol": 1e-14, "atol": 1e-15} if kind == "regressor" else tolerance(kind)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, **exact)


def test_step_size_per_weight_scales_that_weights_step(rng):
    network, episode = make("regressor", rng)
    randomize(network, rng)
    support = examples(network, episode.support_x, episode.support_y)
    sizes = [rng.uniform(0, 0.2, size=w.shape) for w in network.initial_weights]
    steps = {}
    for name, step_sizes in {
        "one": [1.0] * len(sizes),
        "learned": [tf.expand_dims(tf.constant(s), -2) for s in sizes],
    }.items():
        start, end = adaptation_path(
            network,
            squared_error,
            support,
            tasks=TASKS,
            step_sizes=step_sizes,
            masks=no_masks(network, 1),
        )
        steps[name] = [b - a for a, b in zip(start.fast_weights, end.fast_weights, strict=True)]
    for one, learned, size in zip(steps["one"], steps["learned"], sizes, strict=True):
        np.testing.assert_allclose(learned, one * np.expand_dims(size, -2), rtol=1e-9, atol=1e-13)


@pytest.mark.usefixtures("convolution_kind")
def test_number_of_tasks_can_be_unknown(kind, rng):
    network, episode = make(kind, rng)
    randomize(network, rng)
    signature = [
        tf.TensorSpec([None, *part.shape[1:]], part.dtype)
        for part in (episode.support_x, episode.support_y)
    ]

    @tf.function(input_signature=signature, autograph=False)
    def adapt(x, y):
        *_, last = adaptation_path(
            network,
            squared_error if kind == "regressor" else cross_entropy,
            examples(network, x, y),
            tasks=tf.shape(x)[0],
            step_sizes=[0.05] * len(network.initial_weights),
            masks=no_masks(network, 2),
        )
        return last.fast_weights

    ours = adapt(episode.support_x, episode.support_y)
    for a, b in zip(ours, walk(network, episode)[-1].fast_weights, strict=True):
        np.testing.assert_allclose(a, b, **tolerance(kind))


# The paper writes y = T W x with columns; here examples are rows and y = x W T. The transpose of
# each matrix of the paper is what the layer holds.


def linear_step(rng, *, n=4, m=3, tasks=1, transform=None, product=None, zeta=None, alpha=0.1):
    """One step of a linear T- or MT-net on one example x.

    Returns the change of y, and x, A, T and grad_y L in the paper's notation (columns).
    """
    x, targets = rng.normal(size=m), rng.normal(size=[tasks, n])
    A = rng.normal(size=[n, m]) if product is None else product
    T = rng.normal(size=[n, n]) if transform is None else transform
    network = LinearNetwork(m, n)
    layer = network.transform_layers[0]
    layer.transform.assign(T.T)
    layer.kernel.assign((np.linalg.inv(T) @ A).T)
    mask = np.ones(n) if zeta is None else (np.asarray(zeta) > 0).astype(float)
    masks = [[tf.constant(np.tile(mask, [tasks, 1]))]]

    inputs = tf.constant(np.tile(x, [tasks, 1, 1]))
    start, end = adaptation_path(
        network,
        half_squared_error,
        examples(network, inputs, tf.constant(targets[:, np.newaxis])),
        tasks=tasks,
        step_sizes=[alpha],
        masks=masks,
    )
    y, y_new = (network.forward(network.prepare(inputs), p.fast_weights)[0] for p in (start, end))
    np.testing.assert_allclose(y, np.tile(A @ x, [tasks, 1]), rtol=1e-9)
    return (y_new - y).numpy(), x, T, A @ x - targets


def test_transform_is_a_metric_of_the_activations_by_equation_17(rng):
    alpha = 0.1
    change, x, T, gradient = linear_step(rng, alpha=alpha)
    expected = -alpha * (T @ T.T) @ np.outer(gradient[0], x) @ x
    np.testing.assert_allclose(change[0], expected, rtol=1e-9)


def test_masked_transform_is_a_metric_of_a_subspace_by_equation_24(rng):
    alpha, zeta = 0.1, [9.0, -9.0, 9.0, -9.0]
    change, x, T, gradient = linear_step(rng, alpha=alpha, zeta=zeta)
    M_T = np.outer(np.array(zeta) > 0, np.ones(4))
    T_M = M_T * T.T
    expected = -alpha * T_M.T @ T_M @ np.outer(gradient[0], x) @ x
    np.testing.assert_allclose(change[0], expected, rtol=1e-9)


def test_proposition_1_any_subspace_can_be_the_span_of_the_changes(rng):
    n, d = 5, 2
    V = rng.normal(size=[n, n])  # its first d columns are a basis of U
    zeta = [20.0] * d + [-20.0] * (n - d)
    changes, *_ = linear_step(rng, n=n, tasks=12, transform=V, zeta=zeta)
    U = np.linalg.qr(V[:, :d])[0]
    np.testing.assert_allclose(changes @ U @ U.T, changes, rtol=1e-9, atol=1e-12)
    assert np.linalg.matrix_rank(changes, tol=1e-6) == d


def test_proposition_2_the_change_is_the_steepest_descent_in_the_metric_of_a_subspace(rng):
    n, d = 5, 3
    V = rng.normal(size=[n, n])
    root = rng.normal(size=[d, d])
    G = root @ root.T + np.eye(d)  # the metric in the coordinates of U's basis V[:, :d]
    H = np.linalg.cholesky(G).T  # G = H^T H
    T = np.hstack([V[:, :d] @ np.linalg.inv(H), V[:, d:]])
    zeta = [20.0] * d + [-20.0] * (n - d)
    changes, _, _, gradients = linear_step(rng, n=n, tasks=4, transform=T, zeta=zeta)
    for change, gradient in zip(changes, gradients, strict=True):
        c, *_ = np.linalg.lstsq(V[:, :d], change, rcond=None)
        np.testing.assert_allclose(V[:, :d] @ c, change, rtol=1e-9, atol=1e-12)
        # Of all directions of U of the same length in the metric, none descends faster.
        length = np.sqrt(c @ G @ c)
        others = rng.normal(size=[2000, d])
        others *= length / np.sqrt(np.einsum("ki,ij,kj->k", others, G, others))[:, np.newaxis]
        assert gradient @ change < np.min(others @ V[:, :d].T @ gradient)
        steepest = -np.linalg.solve(G, V[:, :d].T @ gradient)
        cosine = c @ G @ steepest / (length * np.sqrt(steepest @ G @ steepest))
        np.testing.assert_allclose(cosine, 1.0, rtol=1e-9)


@pytest.mark.parametrize("alpha", [0.01, 0.3, 4.0])
def test_transform_of_sqrt_alpha_is_a_step_size_by_appendix_a(rng, alpha):
    episode = regression_episode(rng, tasks=TASKS, inputs=3, outputs=4)
    A = rng.normal(size=[3, 4])
    plain, scaled = LinearNetwork(3, 4, use_transform=False), LinearNetwork(3, 4)
    plain.transform_layers[0].kernel.assign(A)
    scaled.transform_layers[0].kernel.assign(A / np.sqrt(alpha))
    scaled.transform_layers[0].transform.assign(np.sqrt(alpha) * np.eye(4))
    paths = [
        walk(plain, episode, update_lr=alpha, num_updates=3, loss=half_squared_error),
        walk(scaled, episode, update_lr=1.0, num_updates=3, loss=half_squared_error),
    ]
    query = plain.prepare(episode.query_x)
    for ours, theirs in zip(*paths, strict=True):
        np.testing.assert_allclose(
            plain.forward(query, ours.fast_weights),
            scaled.forward(query, theirs.fast_weights),
            rtol=1e-9,
        )


@pytest.mark.parametrize("alpha", [0.0001, 1.0])
def test_rescaled_transforms_undo_a_change_of_the_step_size_by_section_6_2(rng, alpha):
    """A network meta-learned for 0.01 does the same with another step size, all its steps."""
    network, episode = make("regressor", rng)
    randomize(network, rng)
    masks = draw_masks(network, rng) + draw_masks(network, rng)
    other, _ = make("regressor", rng)
    factor = np.sqrt(0.01 / alpha)
    for source, target in zip(network.transform_layers, other.transform_layers, strict=True):
        target.transform.assign(factor * source.transform.numpy())
        target.kernel.assign(source.kernel.numpy() / factor)
        target.bias.assign(source.bias.numpy() / factor)
    paths = [
        walk(network, episode, masks=masks, update_lr=0.01, num_updates=4),
        walk(other, episode, masks=masks, update_lr=alpha, num_updates=4),
    ]
    outputs = [
        [net.forward(net.prepare(episode.query_x), point.fast_weights) for point in path]
        for net, path in zip((network, other), paths, strict=True)
    ]
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-8, atol=1e-10)
    assert np.max(np.abs(outputs[0][-1] - outputs[0][0])) > 1e-3
