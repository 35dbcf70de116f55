"""What can be seen of shared work in one process; `tests.replicas` has the rest."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from data_generators import Episode
from maml_tnet import MetaLearner, Regressor, distribution, losses
from maml_tnet.distribution import MeanOfProcess, mean_over_replicas, own_share


def spans():
    return tf.data.Dataset.from_tensor_slices(([0, 1, 2, 3], [1, 2, 3, 4]))


def draw(iteration):
    x = tf.random.stateless_uniform([2, 3, 1], tf.stack([iteration, 0]))
    return Episode(x, 2 * x, x, 2 * x)


def held_out(batches):
    """Numbered tasks, two in a batch."""
    episodes = [draw(tf.constant(100 + i)) for i in range(batches)]
    parts = [tf.stack(part) for part in zip(*episodes, strict=True)]
    numbers = tf.reshape(tf.range(2 * batches), [batches, 2])
    return tf.data.Dataset.from_tensor_slices((numbers, Episode(*parts)))


@pytest.fixture(scope="module")
def strategy():
    return tf.distribute.MirroredStrategy(["/cpu:0"])


def compiled(network, optimizer):
    learner = MetaLearner(
        network, sample_episode=draw, update_lr=0.1, num_updates=1, evaluation_updates=1
    )
    learner.compile(optimizer, loss=losses.squared_error)
    return learner


def made(strategy):
    with strategy.scope():
        return compiled(Regressor(dim_hidden=2, seed=1), keras.optimizers.Adam(0.1))


@pytest.fixture(scope="module")
def learner(strategy):
    return made(strategy)


@pytest.mark.parametrize(
    ("shape", "said"), [([3, 2], "got 3 tasks"), ([None, 2], "got an unknown number of tasks")]
)
def test_tasks_that_cannot_be_shared_out_are_refused(monkeypatch, shape, said):
    monkeypatch.setattr(distribution, "_replicas", lambda: 2)
    with pytest.raises(ValueError, match=f"a multiple of 2 tasks.* of the 2 replicas, {said}"):
        tf.function(own_share).get_concrete_function({"x": tf.TensorSpec(shape)})


def test_one_replica_has_all_tasks_and_its_own_mean():
    batch = {"x": tf.ones([3, 2])}
    assert own_share(batch) is batch
    assert mean_over_replicas(batch) is batch


def test_the_mean_of_a_process_is_weighted():
    mean = MeanOfProcess("loss")
    assert mean.result() == 0
    for value, weight in ((2.0, 3.0), (5.0, 1.0)):
        mean.update_state(tf.constant(value, tf.float64), weight)
    np.testing.assert_allclose(mean.result(), (2 * 3 + 5) / 4)
    mean.reset_state()
    assert mean.result() == 0


@pytest.mark.skipif(not hasattr(keras, "StatelessScope"), reason="needs Keras 3")
def test_a_learner_of_any_keras_model_is_refused_under_a_strategy():
    model = keras.Sequential([keras.layers.Input([1]), keras.layers.Dense(1)])
    with (
        tf.distribute.OneDeviceStrategy("/cpu:0").scope(),
        pytest.raises(
            ValueError, match=r"is made outside of the scope of a tf\.distribute strateg"
        ),
    ):
        MetaLearner(model, update_lr=0.1)


def test_a_training_goes_on_after_the_epochs_that_were_backed_up(strategy, tmp_path):
    begun = []

    def begin(epoch, logs):
        begun.append(epoch)
        if begun == [0, 1, 2]:
            raise RuntimeError("broken off")

    def fit(learner, epochs=4, with_backup=True):
        callbacks = [keras.callbacks.LambdaCallback(on_epoch_begin=begin)]
        if with_backup:
            callbacks.append(keras.callbacks.BackupAndRestore(str(tmp_path / "backup")))
        learner.fit(spans(), epochs=epochs, callbacks=callbacks, verbose=0)

    broken_off, restarted, whole = made(strategy), made(strategy), made(strategy)
    with pytest.raises(RuntimeError, match="broken off"):
        fit(broken_off)
    fit(restarted)
    assert begun == [0, 1, 2, 2, 3]
    whole.fit(spans(), epochs=4, verbose=0)
    for one, other in zip(restarted.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # What the restored training left at the learners is not taken for the next one's.
    for learner in (broken_off, restarted):
        begun.clear()
        fit(learner, epochs=1, with_backup=False)
        assert begun == [0]


def test_backups_within_epochs_are_refused(learner, tmp_path):
    backup = keras.callbacks.BackupAndRestore(str(tmp_path), save_freq=1)
    with pytest.raises(ValueError, match="give it save_freq='epoch', and no save_before_preempt"):
        learner.fit(spans(), callbacks=backup, verbose=0)


def test_training_stops_after_the_batch_in_which_a_callback_says_so(learner):
    seen = []

    def stop(batch, logs):
        seen.append(batch)
        learner.stop_training = batch == 1

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
    history = learner.fit(spans(), epochs=2, callbacks=callback, verbose=0).history
    assert seen == [0, 1]
    assert history["iteration"] == [2]


@pytest.mark.parametrize(("steps", "said"), [(2, "3 of 5, after 0"), (3, "2 of 5, after 1")])
def test_training_ends_with_a_warning_where_its_dataset_runs_out(learner, steps, said):
    with pytest.warns(UserWarning, match=f"ran out in epoch {said} steps, and") as warned:
        history = learner.fit(spans(), epochs=5, steps_per_epoch=steps, verbose=0)
    assert len(warned) == 1
    assert history.history["iteration"] == [steps, 4]


def test_steps_and_epochs_of_measuring_are_keras(learner):
    data, first = held_out(3), held_out(3).take(2)
    assert learner.evaluate(data, steps=2) == learner.evaluate(first)
    np.testing.assert_array_equal(
        learner.predict(data.repeat(), steps=2)["loss"], learner.predict(first)["loss"]
    )
    with pytest.warns(UserWarning, match="evaluate's dataset ran out after 3 of 4 steps"):
        assert learner.evaluate(data, steps=4) == learner.evaluate(data)
    for every, epochs in ((2, 1), ([1, 3], 2)):
        history = learner.fit(
            spans(), epochs=3, validation_data=data, validation_steps=2, validation_freq=every
        ).history
        assert len(history["val_loss"]) == epochs
        assert len(history["loss"]) == 3
    assert history["val_loss"][-1] == learner.evaluate(first, return_dict=True)["loss"]


@pytest.mark.parametrize(
    ("method", "unnamed", "named", "said"),
    [
        ("fit", (), {"steps_per_epoch": 0}, "^steps_per_epoch must be a whole number of at least"),
        ("fit", (), {"validation_steps": 0}, "^validation_steps must be a whole number of at"),
        ("fit", (), {"validation_freq": 0}, "^validation_freq must be a whole number of at least"),
        ("fit", (), {"batch_size": 2}, "^fit takes no batch_size under a tf.distribute strategy"),
        ("fit", (None, 2), {}, "^fit under a .* strategy takes a dataset, and all else by name"),
        ("evaluate", (), {"steps": 1.5}, "^steps must be a whole number of at least 1, got 1.5"),
        ("evaluate", (), {"callbacks": []}, "^evaluate takes no callbacks under a tf.distribute"),
        ("predict", (2,), {}, "^predict under a tf.distribute strategy takes a dataset, and all"),
    ],
)
def test_other_arguments_are_refused_in_words(learner, method, unnamed, named, said):
    data = spans() if method == "fit" else held_out(1)
    with pytest.raises(ValueError, match=said):
        getattr(learner, method)(data, *unnamed, **named)


def test_what_was_made_outside_of_the_scope_is_named(strategy):
    outside, optimizer = Regressor(dim_hidden=2), keras.optimizers.Adam()
    with strategy.scope():
        inside = Regressor(dim_hidden=2)
        with pytest.raises(ValueError, match=r"make the network in `with strategy\.scope\(\):`"):
            compiled(outside, "adam")
        with pytest.raises(ValueError, match=r"make the optimizer in `with strategy\.scope\(\):`"):
            compiled(inside, optimizer)
    with pytest.raises(ValueError, match=r"make the learner in `with strategy\.scope\(\):`"):
        compiled(inside, "adam")


def test_a_named_optimizer_is_made_in_the_learners_scope(learner):
    learner.compile("sgd", loss=losses.squared_error)
    assert np.isfinite(learner.fit(spans(), verbose=0).history["loss"]).all()
