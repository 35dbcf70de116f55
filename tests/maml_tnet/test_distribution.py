"""What can be seen of shared work in one process; `tests.replicas` has the rest."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from maml_tnet import MetaLearner, distribution
from maml_tnet.distribution import MeanOfProcess, mean_over_replicas, own_share


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
