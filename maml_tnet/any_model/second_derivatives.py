"""A look for operations whose second derivatives TensorFlow lacks, or gets wrong without a word."""

from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from tensorflow import keras

from maml_tnet.compat import tf_variable

# The gradients of these have no gradient, or none that is right.
WITHOUT_SECOND_DERIVATIVE = {
    "Dilation2D": "tf.nn.dilation2d",
    "FractionalAvgPool": "tf.nn.fractional_avg_pool",
    "FractionalMaxPool": "tf.nn.fractional_max_pool",
    "LRN": "tf.nn.local_response_normalization",
    "ResizeBicubic": "tf.image.resize",
    "ResizeBilinear": "tf.image.resize",
    "ResizeNearestNeighbor": "tf.image.resize",
    "Softsign": "softsign",
}


def checked_outputs(model: keras.Model, inputs: Any, *, first_order: bool) -> Any:
    """Trace a call of a model, and refuse an operation that would make meta-gradients wrong.

    `tf.nn.moments` holds the mean constant in the variance's derivative. Keras' own layers with it
    or with `tf.image.resize` are replaced before (`exact_normalization`, `exact_upsampling`); what
    is left is in activations and in layers of one's own.

    Args:
        model: to call.
        inputs: nested `tf.TensorSpec` of its inputs.
        first_order: second derivatives are not needed.

    Returns:
        nested `tf.TensorSpec` of its outputs.

    Raises:
        ValueError: there is such an operation after a weight that trains.
    """
    call = tf.function(lambda x: model(x, training=True)).get_concrete_function(inputs)
    if not first_order:
        for operation in _after_trainable_weights(model, call.graph):
            is_moments = operation.type == "StopGradient" and "/moments" in operation.name
            name = "tf.nn.moments" if is_moments else WITHOUT_SECOND_DERIVATIVE.get(operation.type)
            if name is not None:
                raise ValueError(
                    f"{operation.name} ({name}) has no right second derivative in TensorFlow: "
                    "compute it by other operations in this layer, or take first_order=True"
                )
    return tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), call.structured_outputs)


def _after_trainable_weights(model: keras.Model, graph: Any) -> Iterator[tf.Operation]:
    """The operations of a graph that depend on a trainable weight, outside of its loops."""
    handles = {id(tf_variable(v).handle) for v in model.trainable_variables}
    tensors = [inner for outer, inner in graph.captures if id(outer) in handles]
    seen: set[str] = set()
    while tensors:
        for operation in tensors.pop().consumers():
            if operation.name not in seen:
                seen.add(operation.name)
                tensors.extend(operation.outputs)
                yield operation
