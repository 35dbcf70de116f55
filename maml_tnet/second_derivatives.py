"""Operations whose second derivatives TensorFlow lacks, or gets wrong without a word."""

import contextlib
from collections.abc import Container, Iterable, Iterator

import tensorflow as tf

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


def check_operations(operations: Iterable[tf.Operation], place: str) -> None:
    """Refuse operations that would make meta-gradients wrong.

    `tf.nn.moments` holds the mean constant in the variance's derivative.

    Args:
        operations: of a graph, those that depend on what is learned.
        place: where they are, such as "this layer".

    Raises:
        ValueError: there is such an operation.
    """
    for operation in operations:
        is_moments = operation.type == "StopGradient" and "moments" in operation.name.split("/")
        name = "tf.nn.moments" if is_moments else WITHOUT_SECOND_DERIVATIVE.get(operation.type)
        if name is not None:
            raise ValueError(
                f"{operation.name} ({name}) has no right second derivative in TensorFlow: compute "
                f"it by other operations in {place}, or take first_order=True"
            )


def depending_on(
    tensors: Iterable[tf.Tensor], among: Container[str] | None = None
) -> Iterator[tf.Operation]:
    """The operations of a graph that depend on some tensors, outside of its loops.

    Args:
        tensors: of the graph.
        among: names of operations; all others are passed over.
    """
    tensors = list(tensors)
    seen: set[str] = set()
    while tensors:
        for operation in tensors.pop().consumers():
            if operation.name in seen or (among is not None and operation.name not in among):
                continue
            seen.add(operation.name)
            tensors.extend(operation.outputs)
            yield operation


@contextlib.contextmanager
def checked_loss(outputs: tf.Tensor) -> Iterator[None]:
    """Let a block compute a loss of outputs, and check its operations where they are traced.

    Raises:
        ValueError: see `check_operations`.
    """
    if not tf.is_symbolic_tensor(outputs):
        yield
        return
    before = len(outputs.graph.get_operations())
    yield
    made = {operation.name for operation in outputs.graph.get_operations()[before:]}
    check_operations(depending_on([outputs], made), "the loss")
