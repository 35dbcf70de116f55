"""Gradient checkpointing: a function's intermediate results computed again when they are needed."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def recomputed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a backward pass call `function` again instead of keeping what it computed in between.

    `tf.recompute_grad` does this for functions that do not differentiate; in it a `GradientTape`
    records nothing.

    Args:
        function: of nested tensors, to nested tensors. Its derivative is taken with respect to its
            arguments and to variables, not to tensors that it closes over.
    """

    def call(*arguments: Any) -> Any:
        structures: list[Any] = []

        @tf.custom_gradient
        def forward(*inputs: tf.Tensor) -> tuple[list[tf.Tensor], Callable[..., Any]]:
            outputs = function(*tf.nest.pack_sequence_as(arguments, inputs))
            structures.append(outputs)

            def gradient(
                *output_gradients: tf.Tensor, variables: Sequence[tf.Variable] = ()
            ) -> Any:
                # Not before the gradients are there; nor is it then seen as done already.
                with tf.control_dependencies(output_gradients):
                    again = [tf.identity(x) for x in inputs]
                with tf.GradientTape() as tape:
                    tape.watch(again)
                    outputs = function(*tf.nest.pack_sequence_as(arguments, again))
                gradients = tape.gradient(
                    tf.nest.flatten(outputs),
                    [*again, *variables],
                    output_gradients=output_gradients,
                    unconnected_gradients=tf.UnconnectedGradients.ZERO,
                )
                to_inputs, to_variables = gradients[: len(again)], gradients[len(again) :]
                return (to_inputs, to_variables) if variables else to_inputs

            return tf.nest.flatten(outputs), gradient

        flat = forward(*(tf.convert_to_tensor(x) for x in tf.nest.flatten(arguments)))
        return tf.nest.pack_sequence_as(structures[0], flat)

    return call
