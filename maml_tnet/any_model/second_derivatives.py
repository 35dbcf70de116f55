"""A look for operations of a model whose derivatives are wrong."""

from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow import keras

from maml_tnet.any_model.episode import keras_mask
from maml_tnet.any_model.strided_convolutions import check_strided_operations
from maml_tnet.compat import tf_variable
from maml_tnet.second_derivatives import check_operations, depending_on


class Outputs(NamedTuple):
    """What a model gives.

    Attributes:
        specs: nested `tf.TensorSpec`.
        masks: of each of them, flat, the `tf.TensorSpec` of Keras' mask, or None without.
    """

    specs: Any
    masks: list[tf.TensorSpec | None]


def checked_outputs(model: keras.Model, inputs: Any, *, first_order: bool) -> Outputs:
    """Trace a call of a model, and refuse an operation that would make gradients wrong.

    Keras' own layers with `tf.nn.moments` or `tf.image.resize` are replaced before
    (`exact_normalization`, `exact_upsampling`); what is left is in activations, regularizers and
    layers of one's own.

    Args:
        model: to call.
        inputs: nested `tf.TensorSpec` of its inputs.
        first_order: second derivatives are not needed.

    Raises:
        ValueError: there is such an operation after a weight that trains.
    """

    @tf.function
    def traced(x: Any) -> tuple[Any, list[tf.Tensor | None], list[tf.Tensor]]:
        outputs = model(x, training=True)
        return outputs, list(map(keras_mask, tf.nest.flatten(outputs))), list(model.losses)

    call = traced.get_concrete_function(inputs)
    handles = {id(tf_variable(v).handle) for v in model.trainable_variables}
    weights = [inner for outer, inner in call.graph.captures if id(outer) in handles]
    learned = list(depending_on(weights))
    check_strided_operations(call.graph.get_operations(), {each.name for each in learned})
    if not first_order:
        check_operations(learned, "this layer")
    outputs, masks, _ = call.structured_outputs
    specs = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), outputs)
    return Outputs(specs, [None if m is None else tf.TensorSpec(m.shape, m.dtype) for m in masks])
