"""What a newcomer gives instead of an episode: each is one line, and nothing is broadcast."""

import functools
import re
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from data_generators import Episode
from maml_tnet import ConvNet, MetaLearner, PrototypeConvNet, Regressor, losses
from maml_tnet.losses import task_loss
from maml_tnet.task_episode import (
    checked_episode,
    checked_examples,
    checked_held_out,
    warn_of_constants,
)

REGRESSION = {
    "support_x": [2, 5, 1],
    "support_y": [2, 5, 1],
    "query_x": [2, 4, 1],
    "query_y": [2, 4, 1],
}
IMAGES = {"support_x": [2, 5, 16, 16, 1], "query_x": [2, 10, 16, 16, 1]}


@pytest.fixture(scope="module")
def networks():
    shape = (16, 16, 1)
    return {
        "regressor": Regressor(dim_hidden=4),
        "convnet": ConvNet(shape, 5, num_filters=2),
        "any number": PrototypeConvNet(shape, num_filters=2),
    }


def check(network, loss, shapes=None, **parts):
    given = {name: np.zeros(shape) for name, shape in (shapes or {}).items()}
    return checked_episode(Episode(**{**given, **parts}), network, task_loss(loss))


def one_hot(*shape):
    return np.eye(shape[-1])[np.arange(np.prod(shape[:-1])) % shape[-1]].reshape(shape)


def test_numpys_numbers_become_the_networks(networks):
    found = check(networks["regressor"], "mse", REGRESSION, support_y=np.full([2, 5, 1], 3))
    assert {part.dtype for part in found} == {tf.float32}
    np.testing.assert_array_equal(found.support_y, np.full([2, 5, 1], 3.0))


@pytest.mark.parametrize(
    ("part", "shape", "message"),
    [
        ("support_y", [2, 1, 1], "[2, 5, 1] beside support_x [2, 5, 1], got shape [2, 1, 1]"),
        ("support_y", [1, 5, 1], "[2, 5, 1] beside support_x [2, 5, 1], got shape [1, 5, 1]"),
        ("query_y", [2, 1, 1], "query_y must be [tasks, examples, outputs], [2, 4, 1] beside"),
        ("support_y", [2, 5, 3], "got shape [2, 5, 3]"),
        ("support_y", [2, 5], "got shape [2, 5]"),
        ("support_x", [2, 5, 2], "support_x must be [tasks, examples, 1], got shape [2, 5, 2]"),
        ("support_x", [5, 1], "support_x must be [tasks, examples, 1], got shape [5, 1]"),
        ("query_x", [2, 0, 1], "query_x must have a task and an example at least, got [2, 0, 1]"),
        ("support_x", [0, 5, 1], "support_x must have a task and an example at least"),
    ],
)
def test_a_part_of_another_shape_is_named(networks, part, shape, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check(networks["regressor"], "mse", {**REGRESSION, part: shape})


def test_support_and_queries_are_of_the_same_tasks(networks):
    shapes = {**REGRESSION, "query_x": [1, 4, 1], "query_y": [1, 4, 1]}
    with pytest.raises(ValueError, match=r"the same tasks, got shapes \[2, 5, 1\] and \[1, 4, 1\]"):
        check(networks["regressor"], "mse", shapes)


@pytest.mark.parametrize("network", ["convnet", "any number"])
def test_class_numbers_are_no_one_hot_rows(networks, network):
    numbers = {"support_y": np.zeros([2, 5, 1]), "query_y": np.zeros([2, 10, 1])}
    with pytest.raises(ValueError, match=r"support_y must be \[tasks, examples, one-hot rows\]"):
        check(networks[network], losses.class_mean_cross_entropy, IMAGES, **numbers)


def test_class_numbers_are_taken_by_a_loss_of_them(networks):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    numbers = {"support_y": np.zeros([2, 5, 1]), "query_y": np.zeros([2, 10, 1])}
    assert check(networks["convnet"], loss, IMAGES, **numbers).query_y.shape == [2, 10, 1]
    rows = {"support_y": one_hot(2, 5, 5), "query_y": one_hot(2, 10, 5)}
    with pytest.raises(ValueError, match=r"\[tasks, examples, one class number\], \[2, 5, 1\]"):
        check(networks["convnet"], loss, IMAGES, **rows)


def test_labels_sum_to_one(networks):
    rows = {"support_y": one_hot(2, 5, 5), "query_y": one_hot(2, 10, 5)}
    found = check(networks["convnet"], losses.cross_entropy, IMAGES, **rows)
    np.testing.assert_array_equal(found.query_y, rows["query_y"])
    right = rows["query_y"]
    for wrong, message in (
        (2 * right, "rows that sum to 2"),
        (np.nan * right, "rows that sum to nan"),
        (2 * right - np.roll(right, 1, axis=-1), "negative numbers, as -1"),
    ):
        with pytest.raises(ValueError, match=f"query_y must be one-hot, but there are {message}"):
            check(networks["convnet"], losses.cross_entropy, IMAGES, **rows | {"query_y": wrong})


def test_an_episode_is_looked_at_before_training(networks):
    parts = {name: np.zeros(shape, np.float32) for name, shape in IMAGES.items()}
    episode = Episode(support_y=one_hot(2, 5, 5), query_y=np.zeros([2, 10, 5]), **parts)
    made = learner(networks["convnet"], losses.cross_entropy, sample_episode=lambda _: episode)
    spans = tf.data.Dataset.from_tensors((0, 1))
    with pytest.raises(ValueError, match="query_y must be one-hot, but there are rows that sum to"):
        made.fit(spans, verbose=0)


def test_sizes_that_only_the_running_graph_knows(networks):
    unknown = [tf.TensorSpec([None, None, 1])] * 2

    @tf.function(input_signature=unknown)
    def in_a_graph(x, y):
        return checked_examples("support", x, y, networks["regressor"], task_loss("mse"))[1]

    x = tf.ones([2, 5, 1])
    assert in_a_graph(x, x).shape == [2, 5, 1]
    for y in (x[:, :1], x[:1]):
        with pytest.raises(tf.errors.InvalidArgumentError, match="support_y must have as many tas"):
            in_a_graph(x, y)
    for nothing in (x[:, :0], x[:0]):
        with pytest.raises(tf.errors.InvalidArgumentError, match="a task and an example at least"):
            in_a_graph(nothing, nothing)


ALWAYS = np.ones([2, 3, 1])


@functools.cache
def made_before():
    """A tensor of outside of all graphs, too large to be copied into one."""
    with tf.init_scope():
        return tf.ones([300])


@functools.cache
def changing():
    with tf.init_scope():
        return tf.Variable(1.0)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        (lambda i: ALWAYS, False),
        (lambda i: tf.constant(ALWAYS), False),
        (lambda i: tf.one_hot(tf.range(3) % 2, 2), False),
        (lambda i: ALWAYS * tf.cast(i, tf.float64), True),
        (lambda i: tf.random.uniform([2, 3, 1]), True),
        (lambda i: tf.random.stateless_uniform([2, 3, 1], [0, i]), True),
        (lambda i: tf.numpy_function(lambda: ALWAYS, [], tf.float64), True),
        (tf.function(lambda i: tf.random.uniform([2, 3, 1])), True),
        (tf.function(lambda i: ALWAYS), False),
        (tf.function(lambda i: tf.function(tf.one_hot)(tf.range(3), 2)), False),
        (tf.function(lambda i: tf.function(tf.one_hot)(tf.range(3) + i, 2)), True),
        (lambda i: tf.function(lambda: (ALWAYS, tf.one_hot(i, 2)))()[0], False),
        (lambda i: tf.function(lambda: (ALWAYS, tf.one_hot(i, 2)))()[1], True),
        (tf.function(lambda i: tf.function(lambda: tf.random.uniform([2]))() + 1.0), True),
        (lambda i: tf.identity(made_before()), False),
        (lambda i: made_before() * tf.cast(i, tf.float32), True),
        (tf.function(lambda i: made_before() + 1.0), False),
        (lambda i: tf.map_fn(lambda x: x + 1.0, made_before()), False),
        (lambda i: tf.gather(tf.reshape(made_before(), [-1]), i), True),
        (lambda i: tf.identity(changing()), True),
        (tf.function(lambda i: changing() + 1.0), True),
    ],
)
def test_an_episode_of_values_is_every_iterations_and_said_so(part, changes):
    def drawn(iteration):
        episode = Episode(part(iteration), *[tf.constant(ALWAYS)] * 3)
        warn_of_constants(iteration, episode)
        return iteration + 1

    @tf.function(autograph=False)
    def run(start):  # as a span of iterations is
        return tf.while_loop(lambda i: i < 2, drawn, [start])

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run(tf.constant(0))
        warn_of_constants(tf.constant(0), Episode(*[ALWAYS] * 4))  # no graph
    assert ["all iterations train on this one" in str(warning.message) for warning in said] == (
        [] if changes else [True]
    )


def test_all_classes_of_support_and_queries_are_the_same(networks):
    rows = {"support_y": one_hot(2, 5, 5), "query_y": one_hot(2, 10, 4)}
    with pytest.raises(ValueError, match=r"same outputs, got shapes \[2, 5, 5\] and \[2, 10, 4\]"):
        check(networks["any number"], losses.class_mean_cross_entropy, IMAGES, **rows)


@pytest.mark.parametrize("episode", [(1, 2, 3, 4), {"support_x": 1}, SimpleNamespace(support_x=1)])
def test_what_is_no_episode_is_named(networks, episode):
    with pytest.raises(ValueError, match=r"an episode must have support_x, support_y, query_x, "):
        checked_episode(episode, networks["regressor"], task_loss("mse"))


def test_parts_that_are_no_numbers_are_named(networks):
    with pytest.raises(ValueError, match="support_x must be numbers, got string"):
        check(networks["regressor"], "mse", REGRESSION, support_x=np.full([2, 5, 1], "a"))
    with pytest.raises(ValueError, match="query_y must be a tensor, got None"):
        check(networks["regressor"], "mse", REGRESSION, query_y=None)


def learner(network, loss=losses.squared_error, **arguments):
    made = MetaLearner(
        network,
        **{"sample_episode": lambda _: None, "update_lr": 0.1, "num_updates": 1, **arguments},
    )
    made.compile("adam", loss=loss)
    return made


@pytest.mark.parametrize(
    "argument",
    [
        {"num_updates": 0},
        {"num_updates": 1.5},
        {"update_lr": -1.0},
        {"update_lr": float("nan")},
        {"update_lr": "0.1"},
        {"evaluation_updates": -1},
        {"temperature": 0.0},
        {"temperature": -1.0},
        {"meta_grad_clip": -1.0},
        {"seed": 1.5},
        {"sample_episode": None},
        {"sample_episode": lambda: None},
        {"first_order": "no"},
        {"meta_sgd": "False"},
    ],
)
def test_a_learners_numbers_are_checked(networks, argument):
    (name,) = argument
    with pytest.raises(ValueError, match=f"^{name} must be "):
        learner(networks["regressor"], **argument)


def test_what_a_learner_cannot_be_compiled_with(networks):
    with pytest.raises(ValueError, match="needs a network with an output for each of them"):
        learner(networks["regressor"], losses.cross_entropy)
    binary = keras.losses.BinaryCrossentropy(from_logits=True)
    with pytest.raises(ValueError, match="for classes that do not exclude each other"):
        learner(networks["convnet"], binary)
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with pytest.raises(ValueError, match="PrototypeConvNet makes its head of one-hot rows"):
        learner(networks["any number"], sparse)
    made = learner(networks["regressor"])
    with pytest.raises(ValueError, match="compile with an optimizer, got None"):
        made.compile(None, loss=losses.squared_error)
    with pytest.raises(ValueError, match="measures loss and accuracy alone, got metrics"):
        made.compile("adam", loss=losses.squared_error, metrics=["mae"])


def test_a_dataset_that_is_none_or_never_ends_is_said(networks):
    made = learner(networks["regressor"])
    endless = tf.data.Dataset.from_tensors((0, 1)).repeat()
    for method in (made.fit, made.evaluate, made.predict):
        with pytest.raises(ValueError, match=f"{method.__name__} on .* takes a dataset, got None"):
            method(None)
        with pytest.raises(ValueError, match=f"{method.__name__} on .* would never end on an end"):
            method(endless)


def test_a_learner_that_is_not_compiled_says_so(networks):
    made = MetaLearner(
        networks["regressor"], sample_episode=lambda _: None, update_lr=0.1, num_updates=1
    )
    with pytest.raises(ValueError, match="compile the learner first"):
        made.adapt_and_predict(np.ones([1, 5, 1]), np.ones([1, 5, 1]), np.ones([1, 5, 1]), 1)


def test_predictions_of_odd_parts_are_refused(networks):
    made = learner(networks["regressor"])
    x, y = np.ones([1, 5, 1]), np.ones([1, 5, 1])
    with pytest.raises(ValueError, match=r"got shape \[1, 1, 1\]"):
        made.adapt_and_predict(x, y[:, :1], x, 1)
    with pytest.raises(ValueError, match="num_updates must be a whole number of at least 0"):
        made.learn(x, y, -1)
    with pytest.raises(ValueError, match="must be of the same tasks"):
        made.adapt_and_predict(x, y, np.ones([2, 5, 1]), 1)
    with pytest.raises(ValueError, match=r"query_x must be \[tasks, examples, 1\], got shape"):
        made.adapt_and_predict(x, y, np.ones([1, 5, 2]), 1)


def test_held_out_tasks_have_a_number_each(networks):
    given = networks["regressor"], task_loss("mse")
    episode = Episode(**{name: np.zeros(shape) for name, shape in REGRESSION.items()})
    numbers, found = checked_held_out((np.array([4, 9]), episode), *given)
    assert numbers.dtype == tf.int32
    assert found.support_x.dtype == tf.float32
    for wrong in (episode, episode[:2]):
        with pytest.raises(ValueError, match=r"\(numbers, episode\)|an episode must have"):
            checked_held_out(wrong, *given)
    for wrong in ([4], [4, 9, 2], [4.0, 9.0]):
        with pytest.raises(ValueError, match=r"numbers must be whole ones of the tasks, \[2\], go"):
            checked_held_out((np.array(wrong), episode), *given)


def test_accuracy_with_class_numbers_is_that_with_one_hot_rows():
    sparse = task_loss(keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rows = one_hot(6, 2, 3)
    logits = np.random.default_rng(0).normal(size=[6, 2, 3])
    numbers = tf.constant(np.argmax(rows, -1)[..., np.newaxis], tf.float32)
    expected = np.mean(np.argmax(logits, -1) == np.argmax(rows, -1), axis=0)
    for loss, targets in ((sparse, numbers), (task_loss(losses.cross_entropy), rows)):
        found = loss.accuracy(tf.constant(logits), tf.constant(targets))
        np.testing.assert_allclose(found, expected)
