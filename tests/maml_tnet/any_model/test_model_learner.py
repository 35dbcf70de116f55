"""What a Keras user does with a learner: fit, evaluate, predict, callbacks, saving, a task."""

import json
from contextlib import nullcontext

import numpy as np
import pytest
import tensorflow as tf
from layer_kinds import Subclassed
from tensorflow import keras

import maml_tnet
from maml_tnet import MetaLearner
from maml_tnet.any_model.episode import ModelEpisode
from maml_tnet.any_model.exact_normalization import ExactBatchNormalization
from maml_tnet.any_model.functional_model import FunctionalModel
from maml_tnet.any_model.model_learner import ModelLearner
from maml_tnet.any_model.second_derivatives import checked_outputs
from maml_tnet.export import lookup_tables
from maml_tnet.kernels import device

layers = keras.layers
TASKS, SHOT, QUERY = 3, 5, 4
MT_NET = {"update_lr": 0.1, "transform": True, "mask": "unit", "seed": 1}


def small_model(norm=True):
    return keras.Sequential(
        [
            keras.Input([2]),
            layers.Dense(4, activation="tanh"),
            *([layers.BatchNormalization()] if norm else []),
            layers.Dropout(0.2),
            layers.Dense(1),
        ]
    )


def learner_of(model, *, run_eagerly=True, loss="mse", metrics=None, **options):
    learner = MetaLearner(model, **{**MT_NET, **options})
    learner.compile(
        keras.optimizers.Adam(0.01), loss=loss, metrics=metrics, run_eagerly=run_eagerly
    )
    return learner


def episode(number, tasks=TASKS):
    """Random planes: NumPy arrays [tasks, examples, ...]."""
    rng = np.random.default_rng(number)
    slopes = rng.normal(size=[tasks, 2, 1])
    x = rng.normal(size=[tasks, SHOT + QUERY, 2])
    y = x @ slopes
    parts = x[:, :SHOT], y[:, :SHOT], x[:, SHOT:], y[:, SHOT:]
    return dict(zip(ModelEpisode._fields, (p.astype("float32") for p in parts), strict=False))


def dataset(numbers):
    stacked = [episode(number) for number in numbers]
    return tf.data.Dataset.from_tensor_slices(
        {name: np.stack([e[name] for e in stacked]) for name in stacked[0]}
    )


def values(learner):
    return [v.numpy() for v in learner.variables]


@pytest.fixture(scope="module")
def eager():
    """A learner that has made some steps."""
    learner = learner_of(small_model(), metrics=["mae"])
    learner.fit(dataset(range(2)), verbose=0)
    return learner


class Stop(keras.callbacks.Callback):
    """Ends the program in an epoch, after some of its steps."""

    def __init__(self, epoch, steps):
        super().__init__()
        self.at = epoch
        self.steps = steps

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if self.epoch == self.at and batch == self.steps:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def compiled():
    """A learner with a compiled step, and what a new program starts from."""
    learner = learner_of(small_model(), run_eagerly=False, metrics=["mae"])
    return learner, [v.numpy() for v in learner.variables + learner.optimizer.variables]


def begin_again(compiled):
    learner, start = compiled
    learner._initial_epoch = None  # which Keras keeps of a restored run
    variables = learner.variables + learner.optimizer.variables
    for variable, value in zip(variables, start, strict=True):
        variable.assign(value)
    return learner


def test_callbacks_of_keras_work(compiled, tmp_path):
    history = (
        begin_again(compiled)
        .fit(
            dataset(range(2)),
            epochs=5,
            validation_data=dataset([100]),
            verbose=0,
            shuffle=False,
            callbacks=[
                keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras", monitor="val_mae"),
                keras.callbacks.TensorBoard(tmp_path / "board"),
                keras.callbacks.ReduceLROnPlateau("val_loss", min_delta=1e9, patience=1),
                keras.callbacks.EarlyStopping("val_loss", min_delta=1e9, patience=2),
            ],
        )
        .history
    )
    assert len(history["val_mae"]) == 3
    assert history["learning_rate"][-1] < history["learning_rate"][0]
    assert {path.name for path in tmp_path.iterdir()} == {"1.keras", "2.keras", "3.keras", "board"}
    assert list((tmp_path / "board").rglob("events*"))


@pytest.mark.parametrize("endless", [True, False])
def test_a_stopped_run_ends_as_one_that_was_not(compiled, tmp_path, endless):
    """With dropout and drawn masks: the same weights, bit for bit."""
    steps = 3
    episodes = dataset(range(12)).repeat() if endless else dataset(range(steps))

    def run(*more):
        learner = begin_again(compiled)
        learner.fit(
            episodes,
            epochs=4,
            steps_per_epoch=steps if endless else None,
            verbose=0,
            shuffle=False,
            callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "backup"), *more],
        )
        assert int(learner.optimizer.iterations) == 4 * steps
        return values(learner)

    whole = run()
    with pytest.raises(KeyboardInterrupt):
        run(Stop(2, 1))
    for ours, expected in zip(run(), whole, strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_a_run_backed_up_within_an_epoch_goes_on_at_the_next_episode(tmp_path):
    seen = []

    class Looks(ModelLearner):
        def train_step(self, data):
            seen.append(float(data["support_x"][0, 0, 0]))
            return super().train_step(data)

    def new_run():
        learner = Looks(small_model(norm=False), **MT_NET)
        learner.compile("sgd", loss="mse", run_eagerly=True)
        return learner

    def fit(learner, *more):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=1)
        learner.fit(dataset(range(3)), verbose=0, shuffle=False, callbacks=[backup, *more])

    with pytest.raises(KeyboardInterrupt):
        fit(new_run(), Stop(0, 2))
    fit(new_run())
    assert seen == [float(episode(i)["support_x"][0, 0, 0]) for i in range(3)]


def test_generators_and_tuples_are_episodes_too(eager):
    numbers = [5, 6]

    def generator():
        for number in numbers:
            yield tuple(episode(number).values())

    as_dicts = eager.evaluate(dataset(numbers), verbose=0)
    specs = tuple(tf.TensorSpec(part.shape, part.dtype) for part in episode(0).values())
    from_generator = tf.data.Dataset.from_generator(generator, output_signature=specs)
    np.testing.assert_allclose(eager.evaluate(from_generator, verbose=0), as_dicts, rtol=1e-6)
    np.testing.assert_allclose(eager.evaluate(generator(), steps=2, verbose=0), as_dicts, rtol=1e-6)


def test_measures_are_those_of_the_models_that_have_learned_each_task(eager):
    batch = episode(7)
    predicted = eager.predict(tf.data.Dataset.from_tensors(batch), verbose=0)
    assert predicted.shape == (TASKS, QUERY, 1)
    for task in range(TASKS):
        model = eager.adapt(batch["support_x"][task], batch["support_y"][task])
        assert [type(layer).__module__.split(".")[0] for layer in model.layers] == ["keras"] * 4
        for query in range(QUERY):  # each alone
            one = batch["query_x"][task, query : query + 1]
            np.testing.assert_allclose(model(one)[0], predicted[task, query], rtol=1e-4, atol=1e-5)
    loss, mae = eager.evaluate(tf.data.Dataset.from_tensors(batch), verbose=0)
    np.testing.assert_allclose(loss, np.mean((predicted - batch["query_y"]) ** 2), rtol=1e-5)
    np.testing.assert_allclose(mae, np.mean(np.abs(predicted - batch["query_y"])), rtol=1e-5)


def test_queries_by_their_own_batch():
    learner = learner_of(small_model(), normalize_by="batch")
    batch = episode(7)
    predicted = learner(batch)
    model = learner.adapt(batch["support_x"][1], batch["support_y"][1])
    np.testing.assert_allclose(model(batch["query_x"][1]), predicted[1], rtol=1e-4, atol=1e-5)
    assert np.any(np.abs(model(batch["query_x"][1][:2]) - predicted[1, :2]) > 1e-3)


def test_nothing_leaks_from_a_task_to_another(eager):
    batch = episode(8)
    together = eager(batch)
    before = values(eager)
    for task in range(TASKS):
        alone = eager({name: part[task : task + 1] for name, part in batch.items()})
        np.testing.assert_allclose(alone[0], together[task], rtol=1e-5, atol=1e-6)
    for variable, ours, expected in zip(eager.variables, values(eager), before, strict=True):
        np.testing.assert_array_equal(ours, expected, err_msg=variable.path)


def test_training_changes_no_state(eager):
    state = [v.numpy() for v in eager.network.non_trainable_variables]
    assert len(state) == 3  # two moving averages, a seed
    eager.fit(dataset([3]), verbose=0)
    for ours, expected in zip(eager.network.non_trainable_variables, state, strict=True):
        np.testing.assert_array_equal(ours.numpy(), expected)


def test_chance_is_a_function_of_the_seed_and_the_step(eager):
    def draws(learner, step):
        noise, seeds = learner.draws(4, tf.constant(step, tf.int64))
        return np.concatenate([np.reshape(part, -1) for part in [*noise[0], seeds]])

    np.testing.assert_array_equal(draws(eager, 3), draws(eager, 3))
    other = learner_of(small_model(), seed=2)
    for others in (draws(eager, 4), draws(other, 3)):
        assert np.all(others != draws(eager, 3))
    _, seeds = eager.draws(4, tf.constant(3))
    assert len(np.unique(np.reshape(seeds, [4, -1]), axis=0)) == 4


def test_seed_generators_in_lists_are_found_after_the_others():
    class Drops(layers.Layer):
        def __init__(self):
            super().__init__()
            self.own = keras.random.SeedGenerator(1)
            self.more = [keras.random.SeedGenerator(2), {"a": keras.random.SeedGenerator(3)}]

        def call(self, x):
            return x

    drops = Drops()
    model = keras.Sequential([keras.Input([2]), drops, layers.Dropout(0.5), layers.Dense(1)])
    found = FunctionalModel(model).seeds
    assert found[0] is drops.own.state
    assert [v is drops.more[0].state or v is drops.more[1]["a"].state for v in found] == [
        *(False, False),
        *(True, True),
    ]


def test_masks_per_weight_are_drawn_for_every_step():
    learner = learner_of(small_model(), mask="weight", num_updates=2)
    noise, _ = learner.draws(2, tf.constant(0))
    assert len(noise) == 2
    assert np.all(noise[0][0] != noise[1][0])
    gradients, losses, _ = learner.meta_gradient(ModelEpisode(**episode(0)), tf.constant(0))
    assert np.all(np.isfinite(losses))
    by_variable = dict(zip(map(id, learner.trainable_variables), gradients, strict=True))
    assert all(np.any(by_variable[id(v)] != 0) for v in learner.adapting.mask_logits)


def test_padding_changes_nothing(eager):
    """Tasks of unequal size: examples of weight 0 are as good as not there, in norms, too."""
    batch = episode(9)
    support, query = np.ones([TASKS, SHOT], "float32"), np.ones([TASKS, QUERY], "float32")
    support[1, 3:], query[1, 2:] = 0, 0
    padded = {**batch, "support_weight": support, "query_weight": query}
    outputs = eager(padded)
    cut = {
        name: part[1:2, : 3 if name.startswith("support") else 2] for name, part in batch.items()
    }
    np.testing.assert_allclose(outputs[1, :2], eager(cut)[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(outputs[1, 2:], 0.0)
    loss, mae = eager.evaluate(tf.data.Dataset.from_tensors(padded), verbose=0)
    error = (outputs - batch["query_y"]).numpy()
    np.testing.assert_allclose(mae, np.abs(error[query > 0]).mean(), rtol=1e-5)
    per_task = [np.mean(error[task][query[task] > 0] ** 2) for task in range(TASKS)]
    np.testing.assert_allclose(loss, np.mean(per_task), rtol=1e-5)
    model = eager.adapt(batch["support_x"][1], batch["support_y"][1], support_weight=support[1])
    np.testing.assert_allclose(model(batch["query_x"][1][:2]), outputs[1, :2], rtol=1e-4, atol=1e-5)


def test_a_weight_weighs(eager):
    """The inner step on weights of 2 is the step of twice the rate, as Keras reduces losses."""
    batch = episode(9)
    weighted = learner_of(small_model(), update_lr=0.05)
    weighted.set_weights(eager.get_weights())
    twice = {**batch, "support_weight": np.full([TASKS, SHOT], 2.0, "float32")}
    np.testing.assert_allclose(weighted(twice), eager(batch), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("adapt", "adapting"),
    [
        ("all", [0, 3]),
        ("head", [3]),
        ("body", [0]),
        (lambda layer: isinstance(layer, layers.Dense) and layer.units == 4, [0]),
    ],
)
def test_layers_that_are_chosen_adapt(adapt, adapting):
    learner = learner_of(small_model(), adapt=adapt)
    batch = episode(1)
    model = learner.adapt(batch["support_x"][0], batch["support_y"][0])
    dense = [0, 3]
    changed = [
        i for i in dense if np.any(model.layers[i].kernel != learner.network.layers[i].kernel)
    ]
    assert changed == adapting


def test_a_batch_normalization_that_is_called_twice_has_the_mean_of_both(rng):
    one, other = keras.Input([2]), keras.Input([2])
    dense, norm = layers.Dense(3), layers.BatchNormalization()
    both = layers.Concatenate()([norm(dense(one)), norm(dense(other))])
    learner = learner_of(keras.Model([one, other], layers.Dense(1)(both)))
    x = rng.normal(size=[2, 1, 6, 2]).astype("float32")
    x[1] = 10 * x[1] + 30
    y = rng.normal(size=[1, 6, 1]).astype("float32")
    unlearned = learner.adapt((x[0, 0], x[1, 0]), y[0], num_updates=0)
    calls = [part @ dense.kernel.numpy() + dense.bias.numpy() for part in x[:, 0]]
    (found,) = [part for part in unlearned.layers if isinstance(part, layers.BatchNormalization)]
    mean = np.mean([np.mean(call, axis=0) for call in calls], axis=0)
    variance = np.mean([np.var(call, axis=0) for call in calls], axis=0)
    np.testing.assert_allclose(found.moving_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(found.moving_variance, variance, rtol=1e-5)
    answers = learner((tuple(x), y, tuple(x[:, :, :2])))[0]
    learned = learner.adapt((x[0, 0], x[1, 0]), y[0])
    np.testing.assert_allclose(answers, learned((x[0, 0, :2], x[1, 0, :2])), rtol=1e-5, atol=1e-6)


def test_a_batch_normalization_of_unknown_many_steps_is_named():
    def model(steps, **options):
        norm = layers.TimeDistributed(layers.BatchNormalization(**options), name="each")
        parts = [keras.Input([steps, 2]), norm, layers.GlobalAveragePooling1D(), layers.Dense(1)]
        return keras.Sequential(parts)

    with pytest.raises(ValueError, match="the layer 'each' has a batch normalization for a number"):
        MetaLearner(model(None), update_lr=0.1)
    MetaLearner(model(3), update_lr=0.1)
    MetaLearner(model(None), update_lr=0.1, normalize_by="batch")
    MetaLearner(model(None, trainable=False), update_lr=0.1)


def test_metrics_leave_out_what_a_mask_leaves_out(rng):
    embedding = layers.Embedding(5, 2, mask_zero=True)
    model = keras.Sequential([keras.Input([4], dtype="int32"), embedding, layers.Dense(3)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner = MetaLearner(model, update_lr=0.1)
    learner.compile("sgd", loss=loss, metrics=["accuracy"])
    x = rng.integers(1, 5, size=[2, 1, 6, 4])
    x[..., 2:] = 0
    y = rng.integers(3, size=x.shape)
    weight = np.ones([1, 6, 4], "float32")
    weight[0, [1, 3]] = 0  # padding
    plain = learner.adapt(x[0, 0], y[0, 0], support_weight=weight[0])
    plain.compile(loss=loss, metrics=["accuracy"], run_eagerly=True)
    real = weight[0, :, 0] > 0
    expected = plain.evaluate(x[1, 0, real], y[1, 0, real], verbose=0)
    found = learner.test_step(tuple(map(tf.constant, (x[0], y[0], x[1], y[1], weight, weight))))
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-6)


def test_a_batch_of_padding_alone_is_normalized_as_keras_does(rng):
    x = tf.constant(rng.normal(size=[2, 3, 2]), "float32")
    mask = tf.zeros([2, 3], "bool")
    for kind in (layers.BatchNormalization, ExactBatchNormalization):
        layer = kind(momentum=0.0)
        found = layer(x, training=True, mask=mask)
        np.testing.assert_allclose(found, x * 0.001**-0.5, rtol=1e-5)
        np.testing.assert_array_equal(layer.moving_variance, [0, 0])


@pytest.mark.parametrize("eager", [True, False])
def test_a_gradient_that_is_nan_is_said_before_it_is_taken(eager):
    learner = learner_of(
        small_model(),
        loss=lambda y, p: tf.pow(0 * p, 1.5),
        run_eagerly=eager,
        transform=False,
        mask=None,
    )
    before = [v.numpy() for v in learner.trainable_variables]
    with pytest.raises(ValueError, match=r"^the gradient is nan, .* take first_order=True$"):
        learner.fit(dataset([0]), verbose=0)
    for old, new in zip(before, learner.trainable_variables, strict=True):
        np.testing.assert_array_equal(old, new)


@tf.custom_gradient
def steep(errors):
    """The same numbers, with an infinite derivative where they are large."""
    return tf.identity(errors), lambda g: tf.where(tf.abs(errors) > 100, g * np.inf, g)


@pytest.mark.parametrize("clip", [0, 1])
def test_a_gradient_that_is_infinite_is_said_unless_it_is_clipped(clip):
    positive = poisoned([0], 1e3).map(lambda parts: tf.nest.map_structure(tf.abs, parts))
    learner = learner_of(
        keras.Sequential([keras.Input([2]), layers.Dense(1)]),
        loss=lambda y, p: tf.square(steep(p - y)),
        first_order=True,
        meta_grad_clip=clip,
        transform=False,
        mask=None,
    )
    before = [v.numpy() for v in learner.trainable_variables]
    with (
        nullcontext()
        if clip
        else pytest.raises(ValueError, match=r"^the gradient is infinite, .* by meta_grad_clip$")
    ):
        learner.fit(positive, verbose=0)
    for old, new in zip(before, learner.trainable_variables, strict=True):
        np.testing.assert_allclose(new, old + 0.01 if clip else old, rtol=1e-4)


def poisoned(numbers, value):
    """Episodes of `dataset`, of which the last has a target that is another."""
    episodes = dataset(numbers)
    last = {**episode(numbers[-1])}
    last["query_y"] = np.where(np.arange(QUERY)[:, np.newaxis] == 1, value, last["query_y"])
    parts = {name: part[np.newaxis].astype("float32") for name, part in last.items()}
    return episodes.take(len(numbers) - 1).concatenate(tf.data.Dataset.from_tensor_slices(parts))


@pytest.mark.parametrize(
    ("target", "loss", "steps"),
    [(np.nan, "nan", None), (1e30, "inf", None), (1e30, "inf", 1), (np.nan, "nan", 3)],
)
def test_a_loss_that_is_not_finite_is_said_before_its_step(target, loss, steps):
    """Eagerly, compiled, and in the middle of several compiled steps."""

    def learner(steps):
        made = MetaLearner(keras.Sequential([keras.Input([2]), layers.Dense(1)]), **MT_NET)
        made.compile("adam", loss="mse", run_eagerly=steps is None, steps_per_execution=steps or 1)
        return made

    before, stopped = learner(None), learner(steps)
    stopped.set_weights(before.get_weights())
    before.fit(dataset([0, 1]), verbose=0)
    message = rf"^the loss of iteration 2 \(the first is 0\) is {loss}, and the weights are "
    with pytest.raises(ValueError, match=message) as said:
        stopped.fit(poisoned([0, 1, 2], target), verbose=0)
    assert "\n" not in str(said.value)
    everything = [each.variables + each.optimizer.variables for each in (before, stopped)]
    for expected, found in zip(*everything, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7, err_msg=found.path)


def test_constraints_hold_after_every_inner_step(rng):
    def model(**options):
        first = layers.Dense(3, kernel_constraint="non_neg", **options)
        last = layers.Dense(1, kernel_constraint=keras.constraints.MaxNorm(0.1))
        return keras.Sequential([keras.Input([2]), first, last])

    x, y = rng.normal(size=[6, 2]).astype("float32"), rng.normal(size=[6, 1]).astype("float32")
    plain = model()
    learner = MetaLearner(plain, update_lr=0.5, num_updates=3)
    learner.compile("sgd", loss="mse")
    learned = learner.adapt(x, y)
    plain.compile(keras.optimizers.SGD(0.5), "mse", run_eagerly=True)
    plain.fit(x, y, batch_size=6, epochs=3, verbose=0)
    for found, expected in zip(learned.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"dense\S*/kernel has a constraint, which T would break"):
        MetaLearner(model(), update_lr=0.5, transform=True)
    MetaLearner(model(trainable=False), update_lr=0.5, mask="unit")


@pytest.mark.parametrize("adapt", ["all", "head"])
def test_a_head_of_another_number_type_learns(adapt):
    head = layers.Dense(1, dtype="float64", kernel_regularizer="l2")
    model = keras.Sequential([keras.Input([2]), layers.Dense(3), head])
    learner = learner_of(model, adapt=adapt, meta_sgd=True, num_updates=2)
    assert np.all(np.isfinite(learner.fit(dataset([0]), verbose=0).history["loss"]))
    batch = episode(1)
    measured = learner.evaluate(dataset([1]), verbose=0)
    errors = []
    for task in range(TASKS):
        learned = learner.adapt(batch["support_x"][task], batch["support_y"][task])
        learned_kernel = learned.layers[-1].kernel
        assert learned_kernel.dtype == "float64"
        error = learned(batch["query_x"][task]) - batch["query_y"][task]
        errors.append(np.mean(error**2) + 0.01 * np.sum(learned_kernel.numpy() ** 2))
    np.testing.assert_allclose(measured, np.mean(errors), rtol=1e-5)


def test_several_inputs_and_outputs():
    a, b = keras.Input([2], name="a"), keras.Input([2], name="b")
    hidden = layers.Dense(3, activation="tanh")(layers.Concatenate()([a, b]))
    outputs = {"sum": layers.Dense(1, name="sum")(hidden), "is": layers.Dense(2, name="is")(hidden)}
    learner = MetaLearner(keras.Model({"a": a, "b": b}, outputs), update_lr=0.1)
    logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner.compile(
        "adam",
        loss={"sum": "mse", "is": logits},
        loss_weights={"sum": 2.0, "is": 1.0},
        metrics={"sum": "mae", "is": "accuracy"},
        run_eagerly=True,
    )
    batch = episode(0)

    def nested(x, y):
        return {"a": x, "b": -x}, {"sum": y, "is": (y[..., 0] > 0).astype("int32")}

    support = nested(batch["support_x"], batch["support_y"])
    query = nested(batch["query_x"], batch["query_y"])
    episodes = tf.data.Dataset.from_tensors((*support, *query))
    learner.fit(episodes, verbose=0)
    measured = learner.evaluate(episodes, return_dict=True, verbose=0)
    predicted = learner.predict(episodes, verbose=0)
    error = predicted["sum"] - query[1]["sum"]
    cross_entropy = logits(query[1]["is"], predicted["is"])
    np.testing.assert_allclose(measured["loss"], 2.0 * np.mean(error**2) + cross_entropy, rtol=1e-5)
    np.testing.assert_allclose(measured["sum_mae"], np.mean(np.abs(error)), rtol=1e-5)
    right = predicted["is"].argmax(-1) == query[1]["is"]
    np.testing.assert_allclose(measured["is_accuracy"], right.mean(), rtol=1e-6)


@pytest.mark.parametrize("metrics", [{"a": "mae", "b": "mse"}, [["mae"], ["mse"]], {"b": "mse"}])
def test_metrics_by_the_names_of_outputs_are_those_of_keras(metrics):
    x = keras.Input([2])
    hidden = layers.Dense(3)(x)
    model = keras.Model(x, [layers.Dense(1, name=name)(hidden) for name in "ab"])
    learner = learner_of(model, loss=["mse", "mse"], metrics=metrics)
    batch = episode(0)
    y, answers = batch["query_y"], (batch["support_y"], batch["support_y"])
    data = (batch["support_x"], answers, batch["query_x"], (y, 2 * y))
    data = tf.data.Dataset.from_tensors(data)
    found = learner.evaluate(data, return_dict=True, verbose=0)
    outputs = learner.predict(data, verbose=0)
    expected = {
        "a_mae": np.mean(np.abs(outputs[0] - y)),
        "b_mse": np.mean((outputs[1] - 2 * y) ** 2),
    }
    names = ["b_mse"] if len(metrics) == 1 else ["a_mae", "b_mse"]
    assert set(found) == {"loss", *names}
    for name in names:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)


def test_saving_and_loading(eager, tmp_path):
    batch = episode(2)
    expected = eager(batch)
    eager.save(tmp_path / "learner.keras")
    loaded = keras.models.load_model(tmp_path / "learner.keras")
    assert isinstance(loaded, ModelLearner)
    np.testing.assert_allclose(loaded(batch), expected, rtol=1e-6)
    assert int(loaded.optimizer.iterations) == int(eager.optimizer.iterations)

    eager.save_weights(tmp_path / "learner.weights.h5")
    other = learner_of(small_model(), metrics=["mae"])
    other.load_weights(tmp_path / "learner.weights.h5")
    np.testing.assert_allclose(other(batch), expected, rtol=1e-6)
    assert int(other.optimizer.iterations) == int(eager.optimizer.iterations)

    by_function = learner_of(small_model(), adapt=lambda layer: True)
    with pytest.raises(ValueError, match="use save_weights"):
        by_function.save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match=r"a learner is saved whole as NAME\.keras, got "):
        eager.save(tmp_path / "learner.h5")
    with pytest.raises(NotImplementedError, match=r"maml_tnet\.export writes a SavedModel that ad"):
        eager.export(tmp_path / "exported")


@pytest.mark.parametrize(
    "scaled",
    [
        lambda: keras.optimizers.SGD(0.1, loss_scale_factor=8.0),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=8.0),
    ],
)
def test_an_optimizer_that_scales_losses_takes_the_same_step(scaled):
    learner = learner_of(small_model(norm=False))
    start, found = learner.get_weights(), []
    for optimizer in (keras.optimizers.SGD(0.1), scaled()):
        learner.set_weights(start)
        learner.compile(optimizer, loss="mse", run_eagerly=True)
        learner.fit(dataset([0]), verbose=0)
        found.append(learner.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_state_of_a_layer_of_ones_own_is_refused():
    class Average(layers.Layer):
        def build(self, shape):
            self.average = self.add_weight(name="average", shape=[2], trainable=False)

        def call(self, x, training=False):
            if training:
                self.average.assign(0.5 * self.average + 0.5 * keras.ops.mean(x, 0))
            return x - self.average

    model = keras.Sequential([keras.Input([2]), Average(name="mine"), layers.Dense(1)])
    call = FunctionalModel(model)
    outputs, _ = call(np.ones([3, 2], "float32"), [], {}, training=False)
    assert outputs.outputs.shape == (3, 1)
    with pytest.raises(ValueError, match=r"a call of the model changes .*mine/average, which"):
        call(np.ones([3, 2], "float32"), [], {}, training=True)


def test_a_metric_that_a_layer_updates_is_not_shown_as_0():
    class Measured(layers.Layer):
        def __init__(self):
            super().__init__()
            self.mean = keras.metrics.Mean(name="mine")

        def call(self, x):
            self.mean.update_state(x)
            return x

    call = FunctionalModel(keras.Sequential([keras.Input([2]), Measured(), layers.Dense(1)]))
    with pytest.raises(ValueError, match=r"a call of the model changes .*total, which would be l"):
        call(np.ones([3, 2], "float32"), [], {}, training=True)


def test_a_model_with_a_call_of_its_own_is_used_as_it_is():
    class TenTimes(keras.Model):
        def __init__(self):
            inputs = keras.Input([2])
            super().__init__(inputs, layers.Dense(1)(inputs))

        def call(self, x, training=None):
            return 10 * super().call(x, training=training)

    model = TenTimes()
    assert MetaLearner(model, update_lr=0.1).network is model
    outer = keras.Sequential([keras.Input([2]), model, layers.Dense(1)])
    with pytest.raises(
        ValueError, match=r"the copy of .* answers otherwise than the model: the ge"
    ):
        MetaLearner(outer, update_lr=0.1)


def test_a_layer_whose_config_leaves_something_out_is_no_other_layer():
    class Scaled(layers.Dense):
        def __init__(self, units, by=1.0, **kwargs):
            super().__init__(units, **kwargs)
            self.by = by

        def call(self, x):
            return self.by * super().call(x)

    def model(by):
        return keras.Sequential([keras.Input([2]), Scaled(3, by), layers.BatchNormalization()])

    MetaLearner(model(1.0), update_lr=0.1)
    with pytest.raises(ValueError, match=r"the get_config of a layer leaves something out"):
        MetaLearner(model(3.0), update_lr=0.1)


def test_answers_that_are_random_are_not_compared():
    class Noisy(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.seeds = keras.random.SeedGenerator()

        def call(self, x):
            return x + keras.random.normal(keras.ops.shape(x), seed=self.seeds)

    MetaLearner(keras.Sequential([keras.Input([2]), layers.Dense(2), Noisy()]), update_lr=0.1)


def test_answers_that_are_rounded_to_16_bits_are_not_compared():
    for seed in range(20):
        keras.utils.set_random_seed(seed)
        half = [keras.Input([2]), layers.Dense(4, dtype="mixed_bfloat16")]
        MetaLearner(
            keras.Sequential([*half, layers.LayerNormalization(), layers.Dense(1)]), update_lr=0.1
        )


def test_steps_are_meta_iterations():
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    scaled = keras.optimizers.LossScaleOptimizer(optimizer)
    for given in (optimizer, scaled, keras.optimizers.serialize(optimizer)):
        with pytest.raises(ValueError, match="counts other steps than meta-iterations, by which"):
            MetaLearner(small_model(), update_lr=0.1).compile(given, loss="mse")


def test_frozen_layers_are_of_each_model_its_own():
    inner = keras.Sequential([keras.Input([4]), layers.Dense(3, activation="tanh")])
    model = keras.Sequential([keras.Input([2]), layers.Dense(4), inner, layers.Dense(1)])
    model.layers[0].trainable = inner.trainable = False
    learner = learner_of(model)
    x = np.ones([2, 2], "float32")
    batch = [part[0] for part in list(episode(0).values())[:2]]
    copies = [model, learner.network, learner.adapt(*batch), learner.adapt(*batch)]
    answers = [copy(x).numpy() for copy in copies]
    for number, copy in enumerate(copies):
        assert len(copy.trainable_weights) == 2
        frozen = copy.non_trainable_weights
        assert len(frozen) == 4
        for weight in frozen:
            weight.assign(weight + 1)
        for other in range(number + 1, len(copies)):
            np.testing.assert_array_equal(copies[other](x), answers[other])


def test_an_adapted_normalization_stays_what_it_is():
    scale = layers.Normalization()
    scale.adapt(np.array([[1.0, 5.0], [3.0, 9.0]]))
    model = keras.Sequential([keras.Input([2]), scale, layers.Dense(1)])
    x = np.ones([2, 2], "float32")
    np.testing.assert_allclose(MetaLearner(model, update_lr=0.1).network(x), model(x), rtol=1e-6)


def test_a_layer_that_is_frozen_too_late_is_named():
    learner = learner_of(small_model(norm=False))
    learner.network.layers[0].trainable = False
    with pytest.raises(ValueError, match=r"kernel adapts, but does not train any more: freeze"):
        learner(episode(0))


def test_weights_that_a_known_layer_has_besides_are_by_themselves():
    model = small_model(norm=False)
    model.layers[0].enable_lora(2)
    learner = learner_of(model)
    kinds = {group.name: group.takes_transform for group in learner.adapting.groups}
    first, last = model.layers[0].name, model.layers[-1].name
    assert kinds == {f"{first}_0": False, f"{first}_1": False, f"{first}_2": False, last: True}


def test_one_episode_is_a_batch(eager):
    expected = eager.evaluate(dataset([2]), verbose=0)
    for batch in (episode(2), tuple(episode(2).values())):
        np.testing.assert_allclose(eager.test_on_batch(batch), expected, rtol=1e-5)
    learner, other = learner_of(small_model()), learner_of(small_model())
    other.set_weights(learner.get_weights())
    learner.train_on_batch(episode(3))
    other.fit(dataset([3]), verbose=0)
    for one, same in zip(learner.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(one, same, rtol=1e-5, atol=1e-6)


def test_episodes_may_come_from_python(eager):
    def broken():
        yield tuple(episode(0).values())
        yield episode(1)
        raise KeyError("no such picture")

    def run(episodes):
        before = int(eager.optimizer.iterations)
        tuples = tuple(episode(0).values())
        assert "val_loss" in eager.fit(episodes, validation_data=tuples, verbose=0).history
        return int(eager.optimizer.iterations) - before

    assert run(map(episode, range(2))) == 2
    with pytest.raises(KeyError, match=r"^'no such picture'$"):
        run(broken())
    with pytest.raises(
        ValueError, match=r"^support_x must be .* of examples \(2,\), got shape \(3, 5"
    ):
        run({k: x[..., :1] for k, x in episode(i).items()} for i in range(2))
    assert eager.predict(map(episode, range(1)), verbose=0).shape == (TASKS, QUERY, 1)


@pytest.mark.parametrize("number", [3, 4])
def test_a_list_of_episodes_is_not_taken_for_one(number, rng):
    learner = MetaLearner(
        keras.Sequential([keras.Input([4]), keras.layers.Dense(4)]), update_lr=0.1
    )
    learner.compile("sgd", "mse")
    episodes = [tuple(rng.normal(size=[4, 2, 3, 4]).astype("float32")) for _ in range(number)]
    for method in (learner.fit, learner.evaluate, learner.predict):
        with pytest.raises(ValueError, match=r"^support_x must have an array for every input of"):
            method(episodes)


def test_classes_that_the_model_lacks_are_said():
    model = keras.Sequential([keras.Input([2]), layers.Dense(3)])
    learner = learner_of(model, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = np.ones([1, 2, 2], "float32"), np.array([[0, 7]])
    for call in (
        lambda: learner.adapt(x[0], y[0]),
        lambda: learner.fit(tf.data.Dataset.from_tensors((x, y, x, y)), verbose=0),
    ):
        with pytest.raises(
            ValueError, match=r"^targets must be class numbers from 0 to 2, as .* 7$"
        ):
            call()


def test_targets_and_weights_beside_episodes_are_refused(eager):
    ones = np.ones([TASKS, QUERY])
    for call in (eager.fit, eager.evaluate):
        for name in ("y", "sample_weight"):
            with pytest.raises(
                ValueError, match=rf"^{call.__name__} takes a dataset alone.* {name}$"
            ):
                call(episode(0), **{name: ones}, verbose=0)


def test_weights_of_classes_are_of_no_episode(eager):
    with pytest.raises(ValueError, match=r"^class_weight is of one task's classes"):
        eager.fit(dataset([0]), class_weight={0: 1.0, 1: 100.0}, verbose=0)


def test_steps_and_losses_of_a_models_own_class_are_said():
    class Own(keras.Model):
        def train_step(self, data):
            return {}

        def compute_loss(self, *args, **kwargs):
            return 1000.0

    x = keras.Input([2])
    with pytest.warns(UserWarning, match=r"^Own has a compute_loss and a train_step of its own"):
        MetaLearner(Own(x, layers.Dense(1)(x)), update_lr=0.1)


def test_a_quantized_layer_is_named():
    x = keras.Input([2])
    model = keras.Model(x, layers.Dense(1, name="few")(layers.Dense(3)(x)))
    model.get_layer("few").quantize("int8")
    with pytest.raises(ValueError, match=r"^the layer 'few' is quantized \(int8\)"):
        MetaLearner(model, update_lr=0.1)


def test_arrays_in_a_tuple_are_an_episode(eager):
    parts = tuple(episode(2).values())
    found = eager.evaluate(parts, batch_size=TASKS, verbose=0, return_dict=True)
    expected = eager.evaluate(dataset([2]), verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)


def test_vocabularies_are_exported_with_the_model(tmp_path):
    words = layers.TextVectorization(vocabulary=["a", "b"], output_sequence_length=2)
    parts = [keras.Input([], dtype="string"), words, layers.Embedding(4, 2), layers.Flatten()]
    model = keras.Sequential([*parts, layers.Dense(1)])
    module = tf.Module()
    module.tables = lookup_tables(model)
    signature = [tf.TensorSpec([None], tf.string)]
    module.numbers = tf.function(words, input_signature=signature)
    tf.saved_model.save(module, str(tmp_path / "model"))
    text = tf.constant(["b a", "c"])
    found = tf.saved_model.load(str(tmp_path / "model")).numbers(text)
    np.testing.assert_array_equal(found, [[3, 2], [1, 0]])


def test_an_export_takes_class_numbers_and_uint8_pictures(tmp_path):
    """What `class_episodes` gives, under the loss that takes it."""
    pixels = keras.Input([2, 2, 1], dtype="uint8")
    numbers = layers.Flatten()(layers.Rescaling(1 / 255)(pixels))
    model = keras.Model(pixels, layers.Dense(3)(numbers))
    learner = MetaLearner(model, update_lr=0.1)
    learner.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(0)
    task = {
        "support_x": rng.integers(0, 256, [2, 6, 2, 2, 1], np.uint8),
        "support_y": rng.integers(0, 3, [2, 6], np.int32),
        "query_x": rng.integers(0, 256, [2, 4, 2, 2, 1], np.uint8),
    }
    maml_tnet.export(learner, tmp_path / "learner", **task)
    answer = tf.saved_model.load(str(tmp_path / "learner")).signatures["serving_default"]
    found = answer(**{name: tf.constant(part) for name, part in task.items()})["predictions"]
    np.testing.assert_allclose(found, learner(task), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="support_x must be one array: only models of one input"):
        maml_tnet.export(learner, tmp_path / "other", **{**task, "support_x": {"a": 1}})


def test_export(eager, tmp_path):
    """The whole learner as a SavedModel, and the model of one task."""
    batch = {name: part for name, part in episode(2).items() if name != "query_y"}
    maml_tnet.export(eager, tmp_path / "learner", **batch)
    answer = tf.saved_model.load(str(tmp_path / "learner")).signatures["serving_default"]
    tensors = {name: tf.constant(part) for name, part in batch.items()}
    np.testing.assert_allclose(answer(**tensors)["predictions"], eager(batch), rtol=1e-4, atol=1e-5)

    model = eager.adapt(batch["support_x"][0], batch["support_y"][0])
    model.save(tmp_path / "task.keras")
    saved = json.dumps(json.loads(keras.models.load_model(tmp_path / "task.keras").to_json()))
    assert "maml_tnet" not in saved


def test_mixed_bfloat16_learns_and_mixed_float16_is_refused():
    parts = [keras.Input([2]), layers.Dense(4, dtype="mixed_bfloat16"), layers.LayerNormalization()]
    learner = learner_of(keras.Sequential([*parts, layers.Dense(1)]))
    before = values(learner)
    history = learner.fit(dataset([0]), verbose=0)
    assert np.isfinite(history.history["loss"][0])
    assert any(np.any(a != b) for a, b in zip(before, values(learner), strict=True))
    for dtype in ("mixed_float16", "float16"):
        half = keras.Sequential([keras.Input([2]), layers.Dense(1, dtype=dtype, name="half")])
        with pytest.raises(ValueError, match=rf"'half' is {dtype}, .*mixed_bfloat16"):
            MetaLearner(half, update_lr=0.1)


class Moments(layers.Layer):
    def call(self, x):
        mean, variance = keras.ops.moments(x, [1], keepdims=True)
        return (x - mean) / keras.ops.sqrt(variance + 1e-3)


class CompiledMoments(Moments):
    call = tf.function(Moments.call)


@keras.utils.register_keras_serializable()
class Variance(keras.regularizers.Regularizer):
    def __call__(self, x):
        with tf.name_scope("mine"):
            return tf.nn.moments(x, [0, 1])[1]

    def get_config(self):
        return {}


class SubclassedWithNorm(Subclassed):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = layers.BatchNormalization(name="its_norm")

    def call(self, x):
        return self.norm(super().call(x))


def built(model):
    model(np.zeros([2, 2], "float32"))
    return model


def test_subclassed_models():
    learner = learner_of(built(Subclassed()))
    batch = episode(0)
    outputs = learner(batch)
    model = learner.adapt(batch["support_x"][0], batch["support_y"][0])
    assert type(model) is Subclassed
    np.testing.assert_allclose(model(batch["query_x"][0]), outputs[0], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"'its_norm'.*cannot be replaced"):
        MetaLearner(built(SubclassedWithNorm()), update_lr=0.1)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (lambda: layers.LSTM(2, stateful=True, name="cell"), "'cell' is stateful"),
        (lambda: layers.BatchNormalization(renorm=True, name="re"), "'re' renormalizes"),
    ]
    if hasattr(keras, "StatelessScope")
    else [],
)
def test_layers_that_cannot_be_meta_learned_are_named(part, message):
    model = keras.Sequential([keras.Input(batch_shape=[2, 3, 2]), part(), layers.Dense(1)])
    with pytest.raises(ValueError, match=message):
        MetaLearner(model, update_lr=0.1)


@pytest.mark.parametrize(
    ("kernel", "strides", "channels", "trains", "onednn", "is_refused"),
    [
        (1, 2, 3, True, True, True),
        (1, 2, 15, True, True, True),
        (1, 2, 16, True, True, False),
        (1, 1, 3, True, True, False),
        (3, 2, 3, True, True, False),
        (1, 2, 3, False, True, False),
        (1, 2, 3, True, False, False),
    ],
)
def test_convolutions_whose_gradient_overwrites_memory_are_named(
    kernel, strides, channels, trains, onednn, is_refused, monkeypatch
):
    monkeypatch.setattr(device, "onednn_computes", lambda: onednn)
    shortcut = layers.Conv2D(4, kernel, strides=strides, name="shortcut", trainable=trains)
    with refused_if(is_refused):
        MetaLearner(convolutional([6, 6, channels], shortcut), update_lr=0.1)


def refused_if(is_refused):
    refused = pytest.raises(ValueError, match="has a kernel of one pixel, strides and")
    return refused if is_refused else nullcontext()


def convolutional(shape, layer):
    parts = [layer, layers.Flatten(), layers.Dense(2, name="last")]
    return keras.Sequential([keras.Input(shape), *parts])


@pytest.mark.parametrize(
    ("shape", "layer", "is_refused"),
    [
        ([6, 16], lambda: layers.Conv1DTranspose(4, 1, strides=2), True),
        ([4, 4, 16], lambda: layers.Conv2DTranspose(4, 1, strides=2), True),
        ([4, 4, 3], lambda: layers.Conv2DTranspose(16, 1, strides=2), False),
        ([2, 4, 4, 3], lambda: layers.ConvLSTM2D(4, 1, strides=2), True),
        ([2, 4, 4, 16], lambda: layers.ConvLSTM2D(4, 1, strides=2), False),
        ([2, 4, 4, 3], lambda: layers.TimeDistributed(layers.Conv2D(4, 1, strides=2)), True),
        ([4, 4, 3], lambda: layers.SeparableConv2D(4, 1, strides=2), False),
    ],
)
def test_they_are_named_in_layers_of_every_kind(shape, layer, is_refused, monkeypatch):
    monkeypatch.setattr(device, "onednn_computes", lambda: True)
    with refused_if(is_refused):
        MetaLearner(convolutional(shape, layer()), update_lr=0.1)


class OwnConvolution(layers.Layer):
    def build(self, shape):
        self.kernel = self.add_weight(shape=[1, 1, shape[-1], 4], name="kernel")
        super().build(shape)

    def call(self, x):
        return tf.nn.conv2d(x, self.kernel, 2, "SAME")


@pytest.mark.parametrize(("channels", "is_refused"), [(3, True), (16, False)])
@pytest.mark.parametrize("first_order", [False, True])
def test_they_are_named_in_layers_of_ones_own(channels, is_refused, first_order, monkeypatch):
    monkeypatch.setattr(device, "onednn_computes", lambda: True)
    model = convolutional([4, 4, channels], OwnConvolution(name="mine"))
    specs = tf.TensorSpec([None, 4, 4, channels])
    with refused_if(is_refused):
        checked_outputs(model, specs, first_order=first_order)


def test_models_that_take_no_inputs_that_are_made_up_are_meta_learned():
    words = layers.StringLookup(vocabulary=["a", "b"], num_oov_indices=0)
    parts = [words, layers.Embedding(3, 2), layers.Flatten(), layers.Dense(1)]
    model = keras.Sequential([keras.Input([1], dtype="string"), *parts])
    learner = MetaLearner(model, update_lr=0.1)
    np.testing.assert_allclose(
        learner.network(tf.constant([["b"]])), model(tf.constant([["b"]])), rtol=1e-6
    )


def test_pictures_of_whole_numbers_are_not_made_up_of_one_colour():
    keras.utils.set_random_seed(3)
    parts = [layers.Rescaling(1 / 255, 0.7)]
    for _ in range(2):
        parts += [layers.Conv2D(8, 3), layers.GroupNormalization(8), layers.Activation("tanh")]
    inputs = keras.Input([16, 16, 3], dtype="uint8")
    model = keras.Sequential([inputs, *parts, layers.GlobalAveragePooling2D(), layers.Dense(5)])
    assert MetaLearner(model, update_lr=0.1).network is not model


def test_a_layer_that_is_used_by_itself_and_inside_another_is_named():
    encoder, a, b = layers.Dense(4), keras.Input([5, 3]), keras.Input([3])
    pooled = layers.GlobalAveragePooling1D()(layers.TimeDistributed(encoder)(a))
    model = keras.Model([a, b], layers.Dense(1)(layers.Concatenate()([pooled, encoder(b)])))
    with pytest.raises(ValueError, match=r"a layer is used by itself and inside another one"):
        MetaLearner(model, update_lr=0.1)


def test_what_a_normalization_inside_another_layer_was_adapted_to_is_kept():
    scaled = layers.Normalization()
    scaled.adapt(np.array([[1.0, 2.0], [3.0, 8.0]]))
    parts = [layers.TimeDistributed(scaled), layers.Flatten(), layers.Dense(1)]
    model = keras.Sequential([keras.Input([5, 2]), *parts])
    x = np.ones([1, 5, 2], "float32")
    np.testing.assert_allclose(MetaLearner(model, update_lr=0.1).network(x), model(x), rtol=1e-6)


@pytest.mark.parametrize(
    "part",
    [
        lambda: Moments(name="mine"),
        lambda: CompiledMoments(name="mine"),
        lambda: layers.Dense(3, activation="softsign", name="mine"),
        lambda: layers.Dense(3, kernel_regularizer=Variance()),
    ],
)
def test_wrong_second_derivatives_are_named(part):
    parts = [keras.Input([2]), layers.Dense(3), part(), layers.Dense(1)]
    learner = learner_of(keras.Sequential(parts))
    with pytest.raises(ValueError, match=r"mine.*second derivative.*first_order=True"):
        learner(episode(0))
    first_order = learner_of(keras.Sequential(parts), first_order=True)
    assert np.isfinite(first_order.fit(dataset([0]), verbose=0).history["loss"][0])


def resized(method):
    return lambda x: tf.image.resize(tf.reshape(x, [-1, 1, 3, 1]), [1, 3], method)[:, 0, :, 0]


def cropped(x):
    boxes = tf.tile([[0.0, 0.0, 1.0, 1.0]], [tf.shape(x)[0], 1])
    places = tf.range(tf.shape(x)[0])
    return tf.image.crop_and_resize(tf.reshape(x, [-1, 1, 3, 1]), boxes, places, [1, 3])[:, 0, :, 0]


def quantized(x):
    return tf.quantization.fake_quant_with_min_max_args(x)


def by_python(x):
    return tf.ensure_shape(tf.py_function(tf.square, [x], tf.float32), [None, 3])


def igamma(x):
    return tf.math.igamma(tf.abs(x) + 1, tf.square(x))


def with_function(function, **options):
    parts = [layers.Dense(3), layers.Lambda(function, name="mine"), layers.Dense(1)]
    return learner_of(keras.Sequential([keras.Input([2]), *parts]), **options)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (cropped, r"mine.*crop_and_resize.*no right second derivative"),
        (resized("lanczos3"), r"mine.*tf\.image\.resize.*no right second derivative"),
        (quantized, r"mine.*fake_quant_with_min_max_args.*no right second derivative"),
        (by_python, r"mine.*tf\.py_function.*no right second derivative"),
        (resized("area"), r"^ResizeArea \(ResizeArea\) has no derivative.*, or freeze the layers"),
        (igamma, r"^IgammaGradA \(IgammaGradA\) has no derivative.*, or take first_order=True$"),
    ],
)
def test_derivatives_that_tensorflow_lacks_are_one_line(function, message):
    learner = with_function(function)
    with pytest.raises(ValueError, match=message) as said:
        learner.fit(dataset([0]), verbose=0)
    assert "\n" not in str(said.value)


def test_where_a_derivative_is_missing_is_said_of_a_graph():
    learner = with_function(igamma, run_eagerly=False)
    with pytest.raises(ValueError, match=r"^\S*mine\S* \(IgammaGradA\) has no derivative"):
        learner.fit(dataset([0]), verbose=0)


@pytest.mark.parametrize("function", [tf.round, tf.stop_gradient])
def test_weights_that_no_gradient_reaches_are_named(function):
    learner = with_function(function, transform=False, mask=None)
    first = learner.network.layers[0]
    message = f"no derivative with respect to {first.kernel.path}, {first.bias.path}, which learn n"
    with pytest.warns(UserWarning, match=message):
        learner.fit(dataset([0]), verbose=0)
    at_the_end = keras.Sequential([keras.Input([2]), layers.Dense(1), layers.Lambda(function)])
    with pytest.raises(ValueError, match=r"^the loss has no derivative with respect to any weight"):
        learner_of(at_the_end).fit(dataset([0]), verbose=0)


@pytest.mark.parametrize("kind", ["Moments", "CompiledMoments"])
def test_second_derivatives_matter_after_weights_only(kind):
    on_data = [keras.Input([2]), globals()[kind](), layers.Dense(1)]
    assert np.all(np.isfinite(learner_of(keras.Sequential(on_data))(episode(0))))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask": "row"}, "mask must be"),
        ({"adapt": "tail"}, "adapt must be"),
        ({"adapt": lambda layer: False}, "no trainable weight adapts"),
        ({"normalize_by": "query"}, "normalize_by must be"),
        ({"num_updates": 0}, "num_updates must be a whole number of at least 1, got 0"),
        ({"update_lr": float("nan")}, "update_lr must be a finite number of at least 0, got nan"),
        ({"meta_grad_clip": -1.0}, "meta_grad_clip must be a finite number of at least 0"),
        ({"temperature": 0.0}, "temperature must be a finite number above 0, got 0.0"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"transform": "no"}, "transform must be True or False, got 'no'"),
        ({"first_order": "no"}, "first_order must be True or False"),
        ({"meta_sgd": 1}, "meta_sgd must be True or False"),
        ({"dtype": "float64"}, "number types of the model's layers, got dtype='float64'"),
        ({"use_transform": True}, "for a Keras model say transform=True"),
    ],
)
def test_options_that_are_none(options, message):
    with pytest.raises(ValueError, match=message):
        MetaLearner(small_model(), **{"update_lr": 0.1, **options})


def test_endless_episodes_need_a_number_of_steps():
    learner = learner_of(small_model())
    endless = tf.data.Dataset.from_tensors(episode(0)).repeat()
    for ask in (
        lambda: learner.fit(endless),
        lambda: learner.fit(endless.take(1), validation_data=endless),
        lambda: learner.evaluate(endless),
        lambda: learner.predict(endless),
    ):
        with pytest.raises(ValueError, match="would never end on an endless dataset"):
            ask()
    assert len(learner.fit(endless, steps_per_epoch=2, verbose=0).history["loss"]) == 1


def test_a_task_is_not_taken_for_a_batch_of_them(eager):
    learner = learner_of(small_model())
    single = {name: part[0] for name, part in episode(0).items()}
    as_sizes = {name: np.ones([len(x), 2], np.float32) for name, x in single.items()}
    with pytest.raises(ValueError, match=r"support_x must be \[tasks, examples, \.\.\.\] of exam"):
        learner.fit(tf.data.Dataset.from_tensors(as_sizes), verbose=0)
    x, y = single["support_x"], single["support_y"]
    with pytest.raises(ValueError, match=r"support_x must be \[examples, \.\.\.\] of examples"):
        learner.adapt(x[np.newaxis], y[np.newaxis])
    with pytest.raises(ValueError, match=r"support_y must be \[examples, \.\.\.\] with the sizes"):
        learner.adapt(x, y[:1])
    with pytest.raises(ValueError, match="1, got 5: examples are stacked into one array"):
        learner.adapt(list(x), y)
    answers = learner.adapt(np.array(x).tolist(), np.array(y).tolist())(x)
    np.testing.assert_array_equal(answers, learner.adapt(x, y)(x))


def test_a_task_of_padding_alone_is_one_line(compiled):
    learner = begin_again(compiled)
    parts = episode(0)
    nothing = np.zeros([TASKS, SHOT], "float32")
    for ask in (
        lambda: learner.adapt(
            parts["support_x"][0], parts["support_y"][0], support_weight=nothing[0]
        ),
        lambda: learner.fit(
            tf.data.Dataset.from_tensors({**parts, "support_weight": nothing}), verbose=0
        ),
    ):
        with pytest.raises(ValueError, match=r"^a task must have an example whose .* is not 0$"):
            ask()


@pytest.mark.parametrize("part", ["support_x", "support_y", "support_weight"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_learned_of_a_task_is_finite(compiled, part, value):
    parts = {name: x[0].copy() for name, x in episode(0).items() if name.startswith("support")}
    parts["support_weight"] = np.ones([SHOT], "float32")
    parts[part].flat[0] = value
    with pytest.raises(ValueError, match=r"^what was learned of the task is not finite, as "):
        begin_again(compiled).adapt(**parts)


def test_numbers_of_numpy_are_numbers():
    options = {"update_lr": np.float32(0.1), "num_updates": np.int64(2), "transform": np.True_}
    learner = MetaLearner(small_model(), **options, seed=np.int32(1))
    learner.compile("sgd", loss="mse")
    parts = {name: x[0] for name, x in episode(0).items() if name.startswith("support")}
    found = learner.adapt(**parts, num_updates=np.int64(2)).get_weights()
    for a, b in zip(found, learner.adapt(**parts).get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    json.dumps(learner.options)


def test_what_is_missing_is_said(eager):
    with pytest.raises(ValueError, match="has no weights yet"):
        MetaLearner(keras.Sequential([layers.Dense(1)]), update_lr=0.1)
    with pytest.raises(ValueError, match="compile the learner first"):
        MetaLearner(small_model(), update_lr=0.1)(episode(0))
    for loss, message in (
        (None, "compile with a loss"),
        (keras.losses.Huber(reduction=None), "reduced"),
    ):
        with pytest.raises(ValueError, match=message):
            eager.compile("adam", loss=loss)
