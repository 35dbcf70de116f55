"""Whether a tensor of a graph is the same whenever the graph runs."""

from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf

CALLS = ("PartitionedCall", "StatefulPartitionedCall")  # of a `tf.function` in a graph


def is_constant(value: Any) -> bool:
    """Whether a value is made of nothing but constants.

    Where that is not known, as in a branch with state, it is taken for one that changes.

    Args:
        value: a tensor of a graph, or anything that is none, which is constant.
    """
    tensors = [value] if tf.is_symbolic_tensor(value) else []
    seen: set[tuple[int, str]] = set()
    while tensors:
        tensor = tensors.pop()
        operation = tensor.op
        place = id(operation.graph), tensor.name
        if place in seen or operation.type == "Const":
            continue
        seen.add(place)
        if operation.type == "Placeholder":
            outer = _captured(tensor)
            if outer is None or outer.dtype in (tf.resource, tf.variant):
                return False
            tensors += [outer] if tf.is_symbolic_tensor(outer) else []
        elif operation.type in CALLS:
            used = _used_inputs(operation, tensor.value_index)
            if used is None:
                return False
            tensors += [operation.inputs[number] for number in used]
        elif operation.op_def.is_stateful or not operation.inputs:
            return False  # such as what is random, or calls Python
        else:
            tensors += operation.inputs
    return True


def _captured(tensor: tf.Tensor) -> Any:
    """What of outside of a graph has this place in it; None for an argument."""
    captures = getattr(tensor.graph, "captures", ())
    return next((outer for outer, inner in captures if inner is tensor), None)


def _used_inputs(call: tf.Operation, output: int) -> Iterable[int] | None:
    """The inputs of a call that one of its outputs is made of; None if also of what changes."""
    library = {f.signature.name: f for f in call.graph.as_graph_def().library.function}
    return _used(library[call.get_attr("f").name], output, library, call.graph)


def _used(
    function: Any, output: int, library: Mapping[str, Any], graph: tf.Graph
) -> set[int] | None:
    """The same of a function's `FunctionDef`, whose nodes name their inputs NODE:OUTPUT:NUMBER."""
    arguments = {x.name: number for number, x in enumerate(function.signature.input_arg)}
    nodes = {node.name: node for node in function.node_def}
    names = [function.ret[function.signature.output_arg[output].name]]
    used: set[int] = set()
    seen: set[str] = set()
    while names:
        name = names.pop()
        if name in seen or name.startswith("^"):
            continue
        seen.add(name)
        if name in arguments:
            used.add(arguments[name])
            continue
        node_name, *_, number = name.split(":")
        node = nodes[node_name]
        if node.op in CALLS:
            called = library[node.attr["f"].func.name]
            inner = _used(called, int(number), library, graph)
            if inner is None:
                return None
            names += [node.input[i] for i in inner]
        elif node.op != "Const" and (graph.op_def_for_type(node.op).is_stateful or not node.input):
            return None
        else:
            names += node.input
    return used
