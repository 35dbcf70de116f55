"""A training that is broken off and started again with a backup takes what is left of its data."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from data_generators import Episode
from maml_tnet import MetaLearner, Regressor, losses
from maml_tnet.going_on import rest_of_episodes, rest_of_spans

SPANS = ((0, 2), (2, 3), (3, 7), (7, 8), (8, 9), (9, 11))


def spans():
    return tf.data.Dataset.from_tensor_slices(tuple(map(list, zip(*SPANS, strict=True))))


def draw(iteration):
    x = tf.random.stateless_uniform([2, 3, 1], tf.stack([iteration, 0]))
    return Episode(x, 2 * x, x, 2 * x)


def made(kind):
    """A learner, on one device or in a strategy's scope."""
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"]) if kind == "mirrored" else None
    with contextlib.nullcontext() if strategy is None else strategy.scope():
        learner = MetaLearner(
            Regressor(dim_hidden=2, seed=1), sample_episode=draw, update_lr=0.1, num_updates=1
        )
        learner.compile(keras.optimizers.Adam(0.1), loss=losses.squared_error)
    return learner


def of_unknown_size():
    return spans().filter(lambda *_: True)


@pytest.mark.parametrize(
    ("kind", "data", "options", "iterations"),
    [
        ("alone", spans, {"steps_per_epoch": 2}, [3, 8, 11]),
        ("mirrored", spans, {"steps_per_epoch": 2}, [3, 8, 11]),
        ("alone", lambda: spans().repeat(), {"steps_per_epoch": 4}, [8, 3, 11]),
        ("alone", of_unknown_size, {}, [11, 11, 11]),
        ("mirrored", spans, {}, [11, 11, 11]),
        ("alone", of_unknown_size, {"steps_per_epoch": 2}, [3, 8, 11]),
    ],
)
def test_a_restored_training_ends_as_one_that_was_not_broken_off(
    kind, tmp_path, data, options, iterations
):
    def fit(learner, *callbacks):
        history = learner.fit(
            data(), epochs=3, verbose=0, callbacks=[*callbacks], shuffle=False, **options
        )
        return history.history["iteration"]

    def break_off(epoch, logs):
        if epoch == 1:
            raise KeyboardInterrupt

    backup = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))
    with pytest.raises(KeyboardInterrupt):
        fit(made(kind), keras.callbacks.LambdaCallback(on_epoch_begin=break_off), backup)
    restored, whole = made(kind), made(kind)
    backup = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))
    assert fit(restored, backup) == iterations[1:]
    assert fit(whole) == iterations
    for one, other in zip(restored.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("done", range(14))
def test_the_rest_of_spans_begins_with_the_first_that_is_not_done(done):
    def rest(data, steps_per_epoch):
        left = rest_of_spans(data, steps_per_epoch)(tf.constant(done, tf.int64))
        return [(int(start), int(stop)) for start, stop in left.take(6)]

    ends = [span for span in SPANS if span[0] >= done % 11]
    assert rest(spans(), None) == ends
    assert rest(spans().repeat(), 4) == [*ends, *SPANS][:6]


def test_the_rest_of_episodes_begins_anew_when_all_are_done():
    rest = rest_of_episodes(tf.data.Dataset.range(5))
    assert [int(x) for x in rest(tf.constant(7, tf.int64))] == [2, 3, 4]
