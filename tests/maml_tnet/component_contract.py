"""What every layer and every network must do, run through the same checks."""

from typing import Any

import numpy as np
import tensorflow as tf


def check_call_modes(component: Any, x: tf.Tensor) -> None:
    """Eagerly, in a graph, with a batch of unknown size, and under XLA it computes the same."""
    eager = component(x).numpy()
    assert np.all(np.isfinite(eager))

    unknown = tf.TensorSpec([None, *x.shape[1:]], x.dtype)
    modes = {
        "graph": tf.function(lambda x: component(x)),
        "graph of unknown batch": tf.function(
            lambda x: component(x), input_signature=[unknown], autograph=False
        ),
        "XLA": tf.function(lambda x: component(x), jit_compile=True, autograph=False),
    }
    for name, call in modes.items():
        np.testing.assert_allclose(call(x), eager, rtol=1e-4, atol=1e-5, err_msg=name)


def check_configuration_round_trip(component: Any, x: tf.Tensor) -> Any:
    """A component made of the configuration, given the weights, is the same function."""
    component(x)
    config = component.get_config()
    copy = type(component).from_config(config)
    before = copy(x).shape
    assert copy.get_config() == config
    assert before == component(x).shape
    assert [tuple(w.shape) for w in copy.get_weights()] == [
        tuple(w.shape) for w in component.get_weights()
    ]
    assert copy.dtype == component.dtype
    copy.set_weights(component.get_weights())
    np.testing.assert_array_equal(copy(x), component(x))
    return copy
