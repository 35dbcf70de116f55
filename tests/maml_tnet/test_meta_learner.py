import itertools

import numpy as np
import pytest
import reference
import scipy.special
import tensorflow as tf
from numpy_mt_net import Adam, Parameters, meta_gradient
from random_episodes import Episode, randomize
from tensorflow import keras

import maml_tnet.meta_learner
from maml_tnet import ConvNet, MetaLearner, Regressor
from maml_tnet.losses import cross_entropy, squared_error

IMAGE = (9, 8, 1)

pytestmark = pytest.mark.usefixtures("two_blocks")


def uniform(stream, iteration, shape, dtype):
    """Numbers in [0, 1), the same eagerly and under XLA (whose floats, not integers, differ)."""
    seed = tf.stack([stream, tf.cast(iteration, tf.int32)])
    integers = tf.random.stateless_uniform(
        shape, seed, minval=None, maxval=None, dtype=tf.int32, alg="philox"
    )
    return tf.cast(tf.bitwise.bitwise_and(integers, 0xFFFF), dtype) / 0x10000


def sinusoids(iteration, *, tasks=4, shot=5, dtype="float32"):
    """Episodes of sine curves, a function of the iteration's number."""
    unit = uniform(7, iteration, [tasks, 2 + 2 * shot, 1], dtype)
    amplitude, phase, x = 0.1 + 4.9 * unit[:, :1], 3.14 * unit[:, 1:2], 10 * unit[:, 2:] - 5
    y = amplitude * tf.sin(x + phase)
    return Episode(x[:, :shot], y[:, :shot], x[:, shot:], y[:, shot:])


def patterns(iteration, *, tasks=2, way=3):
    """One-shot episodes of noisy random images, a function of the iteration's number."""
    unit = uniform(8, iteration, [tasks, 3 * way, *IMAGE], "float32")
    images, support_noise, query_noise = tf.split(unit, 3, axis=1)
    labels = tf.tile(tf.eye(way)[tf.newaxis], [tasks, 1, 1])
    return Episode(images + 0.3 * support_noise, labels, images + 0.3 * query_noise, labels)


def regression_learner(*, mask_per="unit", dtype="float32", **arguments):
    network = Regressor(dim_hidden=8, use_transform=True, mask_per=mask_per, dtype=dtype)
    defaults = {
        "sample_episode": lambda iteration: sinusoids(iteration, dtype=dtype),
        "update_lr": 0.01,
        "num_updates": 2,
    }
    learner = MetaLearner(network, dtype=dtype, **{**defaults, **arguments})
    learner.compile(loss=squared_error)
    return learner


def classification_learner(**arguments):
    network = ConvNet(IMAGE, 3, num_filters=4, use_transform=True, mask_per="unit")
    defaults = {"sample_episode": patterns, "update_lr": 0.4, "num_updates": 1}
    learner = MetaLearner(network, **{**defaults, **arguments})
    learner.compile(loss=cross_entropy)
    return learner


LEARNERS = {"regression": regression_learner, "classification": classification_learner}


@pytest.fixture(params=LEARNERS)
def kind(request):
    return request.param


def drawn_masks(learner, tasks, steps, seed):
    return learner.masks(steps, learner.mask_noise(tasks, steps, seed))


def loss_of(learner):
    return cross_entropy if isinstance(learner.network, ConvNet) else squared_error


def compile_as_program(learner, learning_rate=1e-2, jit_compile=None):
    if jit_compile is None:
        jit_compile = learner.network.compile_with_xla
    learner.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss=loss_of(learner),
        jit_compile=jit_compile,
    )


def run(learner, spans):
    """The iterations of the spans; the epoch's logs."""
    history = learner.fit(spans_dataset(spans), verbose=0)
    return {name: values[-1] for name, values in history.history.items()}


def spans_dataset(spans):
    return tf.data.Dataset.from_tensor_slices(tuple(np.array(spans, "int32").T))


def fit(learner, spans, **options):
    compile_as_program(learner, **options)
    return run(learner, spans)


def values(learner):
    return [v.numpy() for v in learner.trainable_variables]


@pytest.fixture(scope="module")
def trained():
    """Kind, spans -> (weights, logs) of a learner trained over them from its initial weights.

    Its function is compiled once: from the second time on it begins anew with what it began with.
    """
    initial, found = {}, {}

    def train(kind, spans):
        if kind not in initial:
            learner = LEARNERS[kind]()
            compile_as_program(learner)
            learner.optimizer.build(learner.trainable_variables)
            initial[kind] = learner, [np.array(v) for v in state(learner)]
        learner, start = initial[kind]
        if (kind, spans) not in found:
            for variable, value in zip(state(learner), start, strict=True):
                variable.assign(value)
            logs = run(learner, spans)
            found[kind, spans] = values(learner), logs
        return found[kind, spans]

    return train


def state(learner):
    return [*learner.trainable_variables, *learner.optimizer.variables]


def numbered(episodes):
    """A dataset of (numbers of the tasks, episode)."""
    episodes = list(episodes)
    stacked = Episode(*(tf.stack(parts) for parts in zip(*episodes, strict=True)))
    numbers = tf.reshape(tf.range(len(episodes) * stacked.support_x.shape[1]), [len(episodes), -1])
    return tf.data.Dataset.from_tensor_slices((numbers, stacked))


@pytest.mark.parametrize("start", ["the paper's", "random"])
def test_meta_steps_are_the_numpy_ones(rng, monkeypatch, start):
    """Three MT-net meta-steps with Adam on the sinusoid network: forward, backward, update."""
    alpha, temperature, iterations, tasks = 0.01, 0.8, 3, 4
    episodes = [
        sinusoids(tf.constant(i), tasks=tasks, shot=10, dtype="float64") for i in range(iterations)
    ]
    stacked = Episode(*(tf.stack(parts) for parts in zip(*episodes, strict=True)))
    network = Regressor(use_transform=True, mask_per="unit", dtype="float64")
    if start == "random":
        randomize(network, rng)
    layers = network.transform_layers
    noise = [rng.logistic(size=[iterations, tasks, layer.units]) for layer in layers]

    def fixed_noise(logits, tasks, seed):
        return [tf.constant(n)[seed[1]] for n in noise]

    monkeypatch.setattr(maml_tnet.meta_learner, "mask_noise", fixed_noise)
    p = Parameters(
        W=[layer.kernel.numpy() for layer in layers],
        b=[layer.bias.numpy() for layer in layers],
        T=[layer.transform.numpy() for layer in layers],
        zeta=[layer.mask_logits[0].numpy() for layer in layers],
    )
    learner = MetaLearner(
        network,
        sample_episode=lambda i: Episode(*(part[i] for part in stacked)),
        update_lr=alpha,
        num_updates=1,
        temperature=temperature,
        dtype="float64",
    )
    learner.compile(loss=squared_error)
    gradients, _ = learner.meta_gradient(episodes[0], tf.constant([0, 0]))
    gradient_of = dict(zip(map(id, learner.trainable_variables), gradients, strict=True))
    ours = {
        "W": [layer.kernel for layer in layers],
        "b": [layer.bias for layer in layers],
        "T": [layer.transform for layer in layers],
        "zeta": [layer.mask_logits[0] for layer in layers],
    }

    adam, losses, initial = Adam(1e-3), [], p
    for i in range(iterations):
        episode = Episode(*(part.numpy() for part in episodes[i]))
        loss, gradient = meta_gradient(p, [n[i] for n in noise], episode, alpha, temperature)
        losses.append(loss)
        if i == 0:
            for name, variables in ours.items():
                for variable, expected in zip(variables, getattr(gradient, name), strict=True):
                    np.testing.assert_allclose(
                        gradient_of[id(variable)], expected, rtol=1e-8, atol=1e-12, err_msg=name
                    )
        p = adam.apply(p, gradient)

    logs = fit(learner, [(0, iterations)], learning_rate=1e-3, jit_compile=start == "random")
    np.testing.assert_allclose(logs["loss"], np.mean(losses), rtol=1e-5)
    for name, variables in ours.items():
        for variable, before, after in zip(
            variables, getattr(initial, name), getattr(p, name), strict=True
        ):
            # Keras' Adam has its betas in single precision.
            np.testing.assert_allclose(
                variable.numpy() - before, after - before, rtol=1e-4, atol=1e-7, err_msg=name
            )
            assert np.any(after != before)


def test_spans_are_the_same_iterations_run_one_by_one(trained):
    weights, logs = trained("regression", ((0, 1), (1, 4), (4, 6)))
    learner = regression_learner()
    learner.compile(optimizer=keras.optimizers.Adam(1e-2), loss=loss_of(learner))
    measures = [learner.meta_step(tf.constant(i)) for i in range(6)]
    for ours, theirs in zip(weights, values(learner), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)
    pre_loss, loss = np.mean(measures, axis=0)
    np.testing.assert_allclose([logs["pre_loss"], logs["loss"]], [pre_loss, loss], rtol=1e-5)
    assert logs["iteration"] == 6


def test_partition_into_spans_does_not_change_a_bit(trained, kind):
    whole, logs = trained(kind, ((0, 6),))
    parts, part_logs = trained(kind, ((0, 1), (1, 4), (4, 6)))
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a, b)
    for name in logs:
        np.testing.assert_allclose(logs[name], part_logs[name], rtol=1e-5)


def test_another_seed_gives_other_weights(kind):
    found = []
    for seed in (0, 0, 1):
        learner = LEARNERS[kind](seed=seed)
        learner.compile(optimizer=keras.optimizers.Adam(1e-2), loss=loss_of(learner))
        learner.meta_step(tf.constant(0))
        found.append(values(learner))
    first, again, other = found
    assert not any(np.any(a != b) for a, b in zip(first, again, strict=True))
    assert any(np.any(a != b) for a, b in zip(first, other, strict=True))


def test_every_parameter_is_trained(trained, kind):
    before = values(LEARNERS[kind]())
    after, _ = trained(kind, ((0, 6),))
    for a, b in zip(before, after, strict=True):
        assert np.any(a != b)


@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_meta_gradient_is_clipped_component_by_component(clip):
    learner = regression_learner(meta_grad_clip=clip)
    learner.compile(optimizer=keras.optimizers.SGD(1.0), loss=loss_of(learner))
    before = values(learner)
    episode = learner.sample_episode(0)
    gradients, _ = learner.meta_gradient(episode, tf.constant([learner.seed, 0]))
    assert max(np.max(np.abs(g)) for g in gradients) > 0.05
    learner.meta_step(tf.constant(0))
    for old, new, gradient in zip(before, values(learner), gradients, strict=True):
        step = np.clip(gradient, -clip, clip) if clip else gradient
        np.testing.assert_allclose(old - new, step, rtol=1e-4, atol=1e-6)


def test_non_finite_loss_ends_the_span_at_its_iteration():
    def sample_episode(iteration):
        episode = sinusoids(iteration)
        broken = tf.where(iteration == 3, np.float32(np.nan), np.float32(1.0))
        return episode._replace(query_y=broken * episode.query_y)

    learner = regression_learner(sample_episode=sample_episode)
    with pytest.warns(UserWarning, match=r"^the loss of epoch 1 is nan, .* smaller update_lr"):
        assert fit(learner, [(0, 2), (2, 10)], jit_compile=False)["iteration"] == 3


def test_a_class_for_keras_models_derives_from_the_other_learner():
    class Mine(MetaLearner):
        pass

    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match=r"^Mine derives from .* Sequential: .*ModelLearner"):
        Mine(model, update_lr=0.1)
    arguments = {"sample_episode": sinusoids, "update_lr": 0.1, "num_updates": 1}
    assert isinstance(Mine(Regressor(dim_hidden=2), **arguments), Mine)


def test_train_on_batch_is_refused_in_one_line_that_says_what_to_use():
    learner = regression_learner()
    compile_as_program(learner, jit_compile=False)
    span = (tf.constant(0), tf.constant(1))
    with pytest.raises(NotImplementedError, match=r"train_step\(\(start, stop\)\)"):
        learner.train_on_batch(span)
    assert learner.train_step(span)["iteration"] == 1


def test_measures_of_an_iteration_are_means_over_the_tasks(kind):
    learner = LEARNERS[kind]()
    episode = learner.sample_episode(0)
    seed = tf.constant([0, 0])
    _, measures = learner.meta_gradient(episode, seed)
    network, tasks = learner.network, episode.support_x.shape[0]
    common = {
        "classification": (kind == "classification"),
        "step_sizes": [learner.update_lr] * len(network.initial_weights),
    }
    on_support = episode._replace(query_x=episode.support_x, query_y=episode.support_y)
    masks = drawn_masks(learner, tasks, learner.num_updates, seed)
    before = reference.meta_loss(network, on_support, num_updates=0, **common)
    after = reference.meta_loss(
        network, episode, num_updates=learner.num_updates, masks=masks, **common
    )
    np.testing.assert_allclose(measures[:2], [before, after], rtol=1e-4)
    if kind == "classification":
        assert len(measures) == 4
        right = []
        for task in range(tasks):
            adapted = reference.inner_steps(
                network,
                [tf.convert_to_tensor(w) for w in network.initial_weights],
                episode.support_x[task],
                episode.support_y[task],
                num_updates=1,
                masks=[[m[..., task, :] for m in step] for step in masks],
                **common,
            )
            logits = reference.task_outputs(network, adapted, episode.query_x[task]).numpy()
            right.append(logits.argmax(-1) == episode.query_y[task].numpy().argmax(-1))
        np.testing.assert_allclose(measures[3], np.mean(right), rtol=1e-6)


def test_predictions_have_a_column_for_every_number_of_steps(kind):
    learner = LEARNERS[kind]()
    steps = learner.evaluation_updates = learner.num_updates + 1
    learner.compile(loss=loss_of(learner), jit_compile=False)
    episodes = [learner.sample_episode(100 + i) for i in range(3)]
    tasks = episodes[0].support_x.shape[0]
    before = values(learner)
    predictions = learner.predict(numbered(episodes), verbose=0)
    names = {"loss", "accuracy"} if kind == "classification" else {"loss"}
    alone = {"accuracy_alone"} if kind == "classification" else set()
    assert set(predictions) == names | alone
    for name in names:
        assert predictions[name].shape == (3 * tasks, steps + 1)

    logs = learner.evaluate(numbered(episodes), verbose=0, return_dict=True)
    for name in names:
        column = predictions[name][:, learner.num_updates]
        np.testing.assert_allclose(logs[name], column.mean(), rtol=1e-4)
    for a, b in zip(before, values(learner), strict=True):
        np.testing.assert_array_equal(a, b)


def test_columns_are_the_query_losses_along_the_path():
    learner = regression_learner(evaluation_updates=3, evaluation_mask="mode")
    learner.compile(loss=loss_of(learner), jit_compile=False)
    randomize(learner.network, np.random.default_rng(1))
    episode = learner.sample_episode(100)
    predictions = learner.predict(numbered([episode]), verbose=0)["loss"]
    for steps, task in itertools.product(range(4), range(4)):
        expected = reference.meta_loss(
            learner.network,
            episode.task(task),
            classification=False,
            step_sizes=[0.01] * 6,
            num_updates=steps,
            masks=learner.masks(steps, []),
        )
        np.testing.assert_allclose(predictions[task, steps], expected, rtol=1e-4)


@pytest.mark.parametrize("choice", ["sample", "mode"])
def test_number_of_a_task_keys_its_drawn_masks_only(choice):
    learner = regression_learner(evaluation_mask=choice)
    randomize(learner.network, np.random.default_rng(1))
    episode = learner.sample_episode(100)

    def losses(*numbers):
        return learner.predict_step((tf.constant(numbers), episode))["loss"].numpy()

    first = losses(0, 1, 2, 3)
    np.testing.assert_array_equal(first, losses(0, 1, 2, 3))
    others = losses(7, 1, 8, 3)
    np.testing.assert_array_equal(first[[1, 3]], others[[1, 3]])
    assert np.any(first[[0, 2]] != others[[0, 2]]) == (choice == "sample")


@pytest.mark.parametrize("mask_per", ["unit", "weight"])
def test_result_of_a_task_does_not_depend_on_its_batch(mask_per):
    learner = regression_learner(mask_per=mask_per)
    randomize(learner.network, np.random.default_rng(1))
    episode = learner.sample_episode(100)
    together = learner.predict_step((tf.constant([5, 6, 7, 8]), episode))["loss"]
    for task in range(4):
        one = type(episode)(*(tensor[task : task + 1] for tensor in episode))
        alone = learner.predict_step((tf.constant([5 + task]), one))["loss"]
        np.testing.assert_allclose(alone[0], together[task], rtol=1e-5)


def test_evaluation_and_training_draw_different_masks():
    learner = regression_learner(evaluation_updates=2)
    randomize(learner.network, np.random.default_rng(1))
    episode = learner.sample_episode(100)
    evaluated = learner.predict_step((tf.fill([4], 5), episode))["loss"][:, 2]
    noise = learner.mask_noise(4, 2, tf.constant([learner.seed, 5]))
    *_, trained_on = learner.adapted(episode, 2, noise)[2]
    outputs = learner.network.forward(
        learner.network.prepare(episode.query_x), trained_on.fast_weights
    )
    loss = squared_error(outputs, tf.transpose(episode.query_y, [1, 0, 2]), 5)
    assert np.any(np.abs(evaluated - loss) > 1e-3)


def test_mask_of_a_unit_is_one_draw_for_all_steps_of_a_task():
    learner = regression_learner()
    masks = drawn_masks(learner, 50, 3, tf.constant([0, 1]))
    assert len(masks) == 3
    for step in masks[1:]:
        for mask, first in zip(step, masks[0], strict=True):
            np.testing.assert_array_equal(mask, first)
    # W and b of a layer share it; tasks do not.
    np.testing.assert_array_equal(masks[0][0], masks[0][1])
    assert len(np.unique(masks[0][0], axis=0)) > 10


def test_masks_per_weight_are_drawn_afresh_for_every_step():
    learner = regression_learner(mask_per="weight")
    masks = drawn_masks(learner, 50, 3, tf.constant([0, 1]))
    for a, b in itertools.combinations(masks, 2):
        agreement = np.mean(np.concatenate([np.ravel(m == n) for m, n in zip(a, b, strict=True)]))
        assert 0.45 < agreement < 0.55  # as of independent fair draws
    assert [m.shape.as_list() for m in masks[0][:2]] == [[1, 50, 8], [50, 8]]


def test_masks_follow_seed_and_choice():
    learner = regression_learner()
    first, again, other = (
        drawn_masks(learner, 5, 1, tf.constant(s))[0] for s in ([0, 1], [0, 1], [0, 2])
    )
    np.testing.assert_array_equal(first[2], again[2])
    assert np.any(first[2] != other[2])
    for layer in learner.network.transform_layers:
        layer.mask_logits[0].assign(np.linspace(-1, 1, layer.units))
    modes = learner.masks(2, [])
    np.testing.assert_array_equal(modes[1][0], [np.linspace(-1, 1, 8) >= 0])


def test_network_without_masks_has_none():
    learner = regression_learner(mask_per=None)
    assert learner.mask_noise(5, 2, tf.constant([0, 1])) == []
    assert learner.masks(2, []) == [[1] * 6] * 2


def test_learned_step_sizes_start_at_alpha_and_are_trained():
    learner = regression_learner(meta_sgd=True)
    shapes = [tuple(w.shape) for w in learner.network.initial_weights]
    assert [tuple(v.shape) for v in learner.step_size_variables] == shapes
    plain = regression_learner()
    losses = [
        m.meta_gradient(m.sample_episode(0), tf.constant([0, 0]))[1][1] for m in (learner, plain)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-6)
    trainable = {id(v) for v in learner.trainable_variables}
    assert all(id(v) in trainable for v in learner.step_size_variables)
    learner.compile(optimizer=keras.optimizers.SGD(0.1), loss=loss_of(learner))
    learner.meta_step(tf.constant(0))
    assert all(np.any(v.numpy() != np.float32(0.01)) for v in learner.step_size_variables)


def test_answers_to_queries_are_those_of_the_adapted_network(kind):
    learner = LEARNERS[kind]()
    randomize(learner.network, np.random.default_rng(1))
    episode = learner.sample_episode(100)
    answers = learner.adapt_and_predict(
        episode.support_x, episode.support_y, episode.query_x, 2
    ).numpy()
    assert answers.shape == tuple(episode.query_y.shape)
    network = learner.network
    masks = learner.masks(2, [])
    for task in range(len(answers)):
        adapted = reference.inner_steps(
            network,
            [tf.convert_to_tensor(w) for w in network.initial_weights],
            episode.support_x[task],
            episode.support_y[task],
            classification=(kind == "classification"),
            step_sizes=[learner.update_lr] * len(network.initial_weights),
            num_updates=2,
            masks=[[m[..., 0, :] for m in step] for step in masks],
        )
        outputs = reference.task_outputs(network, adapted, episode.query_x[task]).numpy()
        if kind == "classification":
            outputs = scipy.special.softmax(outputs, axis=-1)
        np.testing.assert_allclose(answers[task], outputs, rtol=1e-3, atol=1e-4)


def test_unknown_evaluation_mask_is_named():
    with pytest.raises(ValueError, match=r"evaluation_mask must be one of .*, got 'mean'"):
        regression_learner(evaluation_mask="mean")


@pytest.mark.parametrize("name", ["learner.keras", "learner.h5", "learner"])
def test_keras_file_formats_are_refused_in_one_line_that_says_what_to_use(tmp_path, name):
    learner = regression_learner()
    with pytest.raises(
        NotImplementedError, match=r"^a MetaLearner cannot .*maml_tnet\.export"
    ) as e:
        learner.save(tmp_path / name)
    assert "\n" not in str(e.value)
    if name == "learner.keras":  # of the others Keras itself says what is wrong
        with pytest.raises(NotImplementedError, match=r"^a MetaLearner cannot"):
            keras.models.save_model(learner, tmp_path / name)


def test_weights_are_kept_by_what_that_line_names(tmp_path):
    learner, other = regression_learner(meta_sgd=True), regression_learner(meta_sgd=True)
    for number, variable in enumerate(learner.trainable_variables):
        variable.assign(np.random.default_rng(number).random(variable.shape, np.float32))
    learner.save_weights(tmp_path / "learner.weights.h5")
    other.load_weights(tmp_path / "learner.weights.h5")
    for number, variable in enumerate(other.trainable_variables):
        expected = np.random.default_rng(number).random(variable.shape, np.float32)
        np.testing.assert_array_equal(tf.convert_to_tensor(variable), expected)
