"""Data of nothing are no training, no evaluation and no prediction; and refusals are one line."""

import numpy as np
import pytest
import tensorflow as tf

from data_generators import Episode
from maml_tnet import MetaLearner, Regressor
from maml_tnet.distribution import Engine
from maml_tnet.given_data import Learner

NOTHING = "takes a dataset with something in it, and nothing came from this one: its filter may"


class Sum(Learner):
    """Adds up what it is given."""

    def __init__(self):
        super().__init__()
        self.total = tf.Variable(0.0, trainable=False)
        self.built = True

    def train_step(self, data):
        self.total.assign_add(tf.cast(data, tf.float32))
        return {"total": self.total + 0.0}

    def test_step(self, data):
        return {"value": tf.cast(data, tf.float32)}

    measure_step = test_step

    def predict_step(self, data):
        return tf.reshape(data, [1])

    @property
    def metrics(self):
        return []


@pytest.fixture(scope="module")
def learner():
    learner = Sum()
    learner.compile("sgd")
    return learner


def some():
    return tf.data.Dataset.range(1, 3)


def filtered():
    return some().filter(lambda i: i > 9)


def generated():
    return tf.data.Dataset.from_generator(lambda: iter([]), output_signature=tf.TensorSpec([]))


@pytest.mark.parametrize("make", [filtered, generated])
def test_nothing_is_refused_where_only_reading_shows_it(learner, make):
    nothing = make()
    for call in (learner.fit, learner.evaluate, learner.predict):
        with pytest.raises(ValueError, match=f"^{call.__name__} {NOTHING}"):
            call(nothing, verbose=0)
    with pytest.raises(ValueError, match=f"^fit {NOTHING}"):
        learner.fit(nothing, steps_per_epoch=2, verbose=0)


def test_after_a_refusal_all_goes_on(learner):
    with pytest.raises(ValueError, match=f"^evaluate {NOTHING}"):
        learner.fit(some(), validation_data=filtered(), verbose=0)
    learner.total.assign(0.0)
    history = learner.fit(some(), validation_data=some(), epochs=2, verbose=0).history
    assert history == {"total": [3.0, 6.0], "val_value": [2.0, 2.0]}
    assert learner.fit(some(), initial_epoch=2, epochs=2, verbose=0).history == {}
    np.testing.assert_array_equal(learner.predict(some(), verbose=0), [1, 2])


def test_a_generator_that_gives_each_element_once_loses_none(learner):
    left = iter([1.0, 2.0])
    once = tf.data.Dataset.from_generator(lambda: left, output_signature=tf.TensorSpec([]))
    learner.total.assign(0.0)
    assert learner.fit(once, verbose=0).history["total"] == [3.0]
    with pytest.raises(ValueError, match=f"^fit {NOTHING}"):
        learner.fit(once, verbose=0)


def test_an_empty_python_generator(learner):
    with pytest.raises(ValueError, match=r"takes a dataset with something in it|empty generator"):
        learner.fit((i for i in ()), verbose=0)


def test_errors_of_the_data_and_of_the_step_stay_what_they_are(learner):
    def broken():
        raise RuntimeError("no such file")
        yield 0.0

    data = tf.data.Dataset.from_generator(broken, output_signature=tf.TensorSpec([]))
    for call in (learner.fit, learner.predict):
        with pytest.raises(tf.errors.OpError, match="no such file"):
            call(data, verbose=0)
    texts = tf.data.Dataset.from_tensors("a")
    with pytest.raises(Exception, match="string") as error:
        learner.fit(texts, verbose=0)
    assert "takes a dataset" not in str(error.value)


def test_what_is_refused_while_a_step_is_traced_is_said_in_its_own_line():
    def draw(iteration):
        x = tf.random.stateless_uniform([2, 3, 1], tf.stack([iteration, 0]))
        return Episode(x, x, x, x)

    network = Regressor(dim_hidden=2)
    learner = MetaLearner(network, sample_episode=draw, update_lr=0.1, num_updates=1)
    learner.compile("sgd", loss=lambda y, p: tf.nn.moments(y - p, [-1])[1])
    with pytest.raises(
        ValueError, match=r"^\S*moments\S* \(tf.nn.moments\) has no right .*"
    ) as error:
        learner.fit(tf.data.Dataset.from_tensors((0, 1)), verbose=0)
    assert "\n" not in str(error.value)
    for loss, message in (
        (
            lambda y, p: tf.round(p - y)[..., 0],
            "^the loss has no derivative with respect to any wei",
        ),
        (
            lambda y, p: tf.image.resize(p - y, [3, 2], "area")[..., 0],
            r"^resize/ResizeArea .* loss, or freeze",
        ),
    ):
        learner.compile("sgd", loss=loss)
        with pytest.raises(ValueError, match=message):
            learner.fit(tf.data.Dataset.from_tensors((0, 1)), verbose=0)
    with pytest.raises(
        ValueError, match=r"^fit takes a dataset of spans \(start, stop\), two whole"
    ):
        learner.fit(tf.data.Dataset.from_tensors((0.0, 1.0)), verbose=0)


def test_nothing_for_several_replicas():
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    with strategy.scope():
        learner = Sum()
        learner.compile("sgd")
    engine = Engine(learner, strategy)
    for call in (engine.fit, engine.evaluate, engine.predict):
        with pytest.raises(ValueError, match=f"^{call.__name__} {NOTHING}"):
            call(filtered())
