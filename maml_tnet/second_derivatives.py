"""Operations whose second derivatives TensorFlow lacks, or gets wrong without a word."""

import contextlib
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

# What is called by its own name, as operations are: its gradient is a SymbolicGradient, which has
# none. TensorFlow has such functions in the loops of `tf.nn.ctc_loss` of dense labels alone.
BY_OWN_NAME = "function"

# The gradients of these have no gradient, or none that is right.
WITHOUT_SECOND_DERIVATIVE = {
    BY_OWN_NAME: "tf.nn.ctc_loss",
    "CTCLoss": "tf.nn.ctc_loss",
    "CTCLossV2": "tf.nn.ctc_loss",
    "CropAndResize": "tf.image.crop_and_resize",
    "Dilation2D": "tf.nn.dilation2d",
    "EagerPyFunc": "tf.py_function",
    "FakeQuantWithMinMaxArgs": "tf.quantization.fake_quant_with_min_max_args",
    "FakeQuantWithMinMaxVars": "tf.quantization.fake_quant_with_min_max_vars",
    "FakeQuantWithMinMaxVarsPerChannel": "tf.quantization.fake_quant_with_min_max_vars_per_channel",
    "FractionalAvgPool": "tf.nn.fractional_avg_pool",
    "FractionalMaxPool": "tf.nn.fractional_max_pool",
    "LRN": "tf.nn.local_response_normalization",
    "MaxPoolWithArgmax": "tf.nn.max_pool_with_argmax",
    "QuantizeAndDequantizeV4": "tf.quantization.quantize_and_dequantize_v2",
    "ResizeBicubic": "tf.image.resize",
    "ResizeBilinear": "tf.image.resize",
    "ResizeNearestNeighbor": "tf.image.resize",
    "ScaleAndTranslate": "tf.image.resize",
    "Softsign": "softsign",
    "SparseAdd": "tf.sparse.add",
}
# What `tf.nn.moments` calls its parts, whatever it is called itself; it holds its mean constant.
MOMENTS = {"StopGradient", "mean", "SquaredDifference", "variance"}

# How TensorFlow says that it lacks a derivative of an operation, by its name or its type alone.
NAMED = re.compile(r"operation ?'(.+?)' \(op type: (\w+)\)")
OF_TYPE = re.compile(r"gradient registry has no entry for: (\w+)")
PLACES = re.compile(r"(gradients|gradient_tape|map/while|while)/")

# Operations that call functions, and the number of their inputs that are not the functions'.
CALLS = {
    **dict.fromkeys(["PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile"], 0),
    **dict.fromkeys(["If", "StatelessIf", "Case", "StatelessCase"], 1),
}


class Found(NamedTuple):
    """An operation of a graph, or of a function that a graph calls.

    Attributes:
        name: with those of the calls that it is in.
        type: of TensorFlow, or `BY_OWN_NAME`.
    """

    name: str
    type: str


def check_operations(operations: Iterable[Found], place: str) -> None:
    """Refuse operations that would make meta-gradients wrong.

    Args:
        operations: those that depend on what is learned.
        place: where they are, such as "this layer".

    Raises:
        ValueError: there is such an operation.
    """
    operations = list(operations)
    parts: dict[str, set[str]] = {}
    for operation in operations:
        parts.setdefault(_scope(operation), set()).add(operation.name.rpartition("/")[2])
    for operation in operations:
        is_moments = operation.type == "StopGradient" and parts[_scope(operation)] >= MOMENTS
        name = "tf.nn.moments" if is_moments else WITHOUT_SECOND_DERIVATIVE.get(operation.type)
        if name is not None:
            raise ValueError(
                f"{operation.name} ({name}) has no right second derivative in TensorFlow: compute "
                f"it by other operations in {place}, or take first_order=True"
            )


def _scope(operation: Found) -> str:
    return operation.name.rpartition("/")[0]


def depending_on(
    tensors: Iterable[tf.Tensor], among: Container[str] | None = None
) -> Iterator[Found]:
    """The operations that depend on some tensors, also in functions, branches and loops.

    Args:
        tensors: of one graph.
        among: names of its operations; all others are passed over.
    """
    tensors = list(tensors)
    reached: set[tuple[str, int]] = set()
    calls: list[tf.Operation] = []
    seen: set[str] = set()
    while tensors:
        tensor = tensors.pop()
        reached.add((tensor.op.name, tensor.value_index))
        for operation in tensor.consumers():
            if operation.name in seen or (among is not None and operation.name not in among):
                continue
            seen.add(operation.name)
            tensors.extend(operation.outputs)
            yield Found(operation.name, operation.type)
            if operation.type in CALLS:
                calls.append(operation)
    if not calls:
        return
    library = {f.signature.name: f for f in calls[0].graph.as_graph_def().library.function}
    for operation in calls:
        given = [(x.op.name, x.value_index) in reached for x in operation.inputs]
        yield from _in_functions(operation.name, operation.node_def, given, library)


def _in_functions(
    place: str, call: Any, given: list[bool], library: Mapping[str, Any]
) -> Iterator[Found]:
    """What depends on some of the inputs of a call, in the functions that it calls.

    Args:
        place: name of the call, with those of the calls that it is in.
        call: its `NodeDef`.
        given: of each of its inputs, whether it depends.
        library: functions by name.
    """
    attributes = call.attr.values()
    names = [attribute.func.name for attribute in attributes if attribute.HasField("func")]
    names += [function.name for attribute in attributes for function in attribute.list.func]
    given = given[CALLS[call.op] :]
    if call.op.endswith("While"):  # what one round gives the next one takes
        given = [any(given)] * len(given)
    for function in map(library.__getitem__, names):
        arguments = zip(function.signature.input_arg, given, strict=True)
        depends = {argument.name for argument, does in arguments if does}
        nodes = list(function.node_def)
        before = -1
        while before != len(depends):  # they are in no order
            before = len(depends)
            depends |= {node.name for node in nodes if any(_inputs(node, depends))}
        for node in nodes:
            if node.name in depends:
                name = f"{place}/{node.name}"
                yield Found(name, BY_OWN_NAME if node.op in library else node.op)
                if node.op in CALLS:
                    yield from _in_functions(name, node, _inputs(node, depends), library)


def _inputs(node: Any, depends: Container[str]) -> list[bool]:
    """Of each input of a node of a function, which is written NODE:OUTPUT:0, whether it depends."""
    return [x.split(":")[0] in depends for x in node.input if not x.startswith("^")]


@contextlib.contextmanager
def checked_loss(outputs: tf.Tensor, *, first_order: bool) -> Iterator[None]:
    """Let a block compute a loss of outputs, and check its operations where they are traced.

    Args:
        outputs: that the loss is of.
        first_order: second derivatives are not needed: nothing is checked.

    Raises:
        ValueError: see `check_operations`.
    """
    if first_order or not tf.is_symbolic_tensor(outputs):
        yield
        return
    before = len(outputs.graph.get_operations())
    yield
    made = {operation.name for operation in outputs.graph.get_operations()[before:]}
    check_operations(depending_on([outputs], made), "the loss")


@contextlib.contextmanager
def missing_derivatives() -> Iterator[None]:
    """Say in one line that TensorFlow has no derivative of an operation, and where it is.

    Raises:
        ValueError: the block needs one that is not there.
    """
    try:
        yield
    except LookupError as error:
        text = str(error)
        if named := NAMED.search(text):
            name, kind = named.groups()
        elif of_type := OF_TYPE.search(text):
            kind = of_type[1]
            graph = tf.compat.v1.get_default_graph()
            operations: list[Any] = getattr(graph, "get_operations", list)()  # none if eager
            name = next((each.name for each in operations if each.type == kind), kind)
        else:
            raise
        is_second = "Grad" in kind or "Backprop" in kind
        raise ValueError(
            f"{PLACES.sub('', name)} ({kind}) has no derivative in TensorFlow: compute it by other "
            "operations in this layer or loss, or "
            + ("take first_order=True" if is_second else "freeze the layers before it")
        ) from error
