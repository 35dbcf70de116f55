"""Which of a model's weights adapt, and how T and M act on them.

The paper's layer is y = T (W x + b). In row-vector code that is (x W + b) T = x (W T) + b T: a T
needs no layer of its own, the layer is handed W T and b T instead of W and b. So a T goes wherever
a layer adds up products with kernels and biases: dense layers, convolutions, embeddings, the
projections of attention, recurrent cells. A depthwise convolution cannot mix its channels, and of a
layer of one's own nothing is known: these have masks and no T.

Scales and offsets of normalizations are meta-learned, and never adapt.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow import keras

from maml_tnet.compat import is_functional, sublayers

NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
    *([keras.layers.RMSNormalization] if hasattr(keras.layers, "RMSNormalization") else []),
)
CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)

# What the layers that are known call their weights.
WEIGHTS = (
    *("kernel", "bias", "embeddings", "recurrent_kernel"),
    *("depthwise_kernel", "pointwise_kernel"),
)

Adapts = str | Callable[[Any], bool]


class Weight(NamedTuple):
    """A weight that adapts.

    Attributes:
        variable: the Keras variable.
        unit_axes: its axes along which the units of its layer lie; what is left are its inputs.
    """

    variable: Any
    unit_axes: tuple[int, ...]

    @property
    def _order(self) -> list[int]:
        rank = len(self.variable.shape)
        return [a for a in range(rank) if a not in self.unit_axes] + list(self.unit_axes)

    def transformed(self, value: tf.Tensor, transform: tf.Tensor) -> tf.Tensor:
        """W T: the units multiplied by T [units, units]."""
        order = self._order
        moved = tf.transpose(value, order)
        product = tf.matmul(tf.reshape(moved, [-1, transform.shape[0]]), transform)
        return tf.transpose(tf.reshape(product, moved.shape), np.argsort(order))

    def spread(self, mask: tf.Tensor) -> tf.Tensor:
        """A mask [units] in a shape that broadcasts over the weight."""
        shape = self.variable.shape
        units = tf.reshape(mask, [shape[axis] for axis in self.unit_axes])
        units = tf.transpose(units, np.argsort(self.unit_axes))
        return tf.reshape(units, [n if a in self.unit_axes else 1 for a, n in enumerate(shape)])


class UnitGroup(NamedTuple):
    """Weights that one T and one mask per unit serve: W and b of a layer.

    Attributes:
        name: of the layer, for the variables.
        weights: of the group.
        takes_transform: whether a T can follow it.
    """

    name: str
    weights: list[Weight]
    takes_transform: bool

    @property
    def units(self) -> int:
        """Number of units; 1 where a weight is a single number."""
        variable, axes = self.weights[0]
        return int(np.prod([variable.shape[axis] for axis in axes]))


def adapting_groups(model: keras.Model, adapt: Adapts) -> list[UnitGroup]:
    """The weights of a model that adapt, from input to output.

    Args:
        model: built.
        adapt: "all" (MAML); "head", of every output the last layers that can adapt (ANIL); "body",
            all others (BOIL); or a function of one of `model.layers` that says whether it adapts.

    Raises:
        ValueError: an unknown word, or nothing adapts.
    """
    chosen = _chosen_layers(model, adapt)
    groups: list[UnitGroup] = []
    seen: set[int] = set()
    for top in chosen:
        for layer in sublayers(top):
            for group in _groups_of_layer(layer):
                weights = [
                    weight
                    for weight in group.weights
                    if weight.variable.trainable and id(weight.variable) not in seen
                ]
                seen |= {id(weight.variable) for weight in weights}
                if weights:
                    groups.append(group._replace(weights=weights))
    if not groups:
        raise ValueError(f"no trainable weight adapts: adapt={adapt!r} chooses none")
    return groups


def _chosen_layers(model: keras.Model, adapt: Adapts) -> list[Any]:
    # A layer of one's own may have weights itself: then it is its own only part.
    own = _own_variables(model)
    layers = [layer for layer in model.layers if layer.trainable_weights]
    if callable(adapt):
        return [layer for layer in layers if adapt(layer)]
    if adapt == "all":
        return [model] if own else layers
    able = [layer for layer in layers if any(map(_groups_of_layer, sublayers(layer)))]
    heads = _heads(model, able)
    if adapt == "head":
        return heads
    if adapt == "body":
        return [layer for layer in layers if layer not in heads]
    raise ValueError(f'adapt must be "all", "head", "body" or a function, got {adapt!r}')


def _heads(model: keras.Model, layers: list[Any]) -> list[Any]:
    """Of every output of a model the layers after which none of the layers follows."""
    if isinstance(model, keras.Sequential) or not is_functional(model):
        return layers[-1:]
    ids = {id(layer) for layer in layers}

    def before(tensors: Iterable[Any], *, stops: bool) -> dict[int, Any]:
        """The nodes of layers that some tensors come from; if it stops, the first of each path."""
        found, seen, ahead = {}, set(), list(tensors)
        while ahead:
            operation, index, _ = ahead.pop()._keras_history
            node = operation._inbound_nodes[index]
            if id(node) in seen:
                continue
            seen.add(id(node))
            is_one = id(operation) in ids
            if is_one:
                found[id(node)] = node
            if not (is_one and stops):
                ahead += node.input_tensors
        return found

    heads = set()
    for output in model.outputs:
        last = before([output], stops=True)
        for node in last.values():
            others = [other for other in last.values() if other is not node]
            if all(id(node) not in before(each.input_tensors, stops=False) for each in others):
                heads.add(id(node.operation))
    return [layer for layer in layers if id(layer) in heads]


def _own_variables(layer: Any) -> list[Any]:
    """Trainable variables of a layer that belong to no layer inside it."""
    inside = {
        id(v) for inner in sublayers(layer) if inner is not layer for v in inner.trainable_variables
    }
    return [v for v in layer.trainable_variables if id(v) not in inside]


def _groups_of_layer(layer: Any) -> list[UnitGroup]:
    """The groups of a layer's own weights, without those of layers inside it."""
    own = _own_variables(layer)
    if not own or isinstance(layer, NORMALIZATIONS):
        return []
    # Others, as a low-rank update of the kernel (LoRA) or a subclass has, may do anything.
    if not {id(variable) for variable in own} <= {id(getattr(layer, n, None)) for n in WEIGHTS}:
        return _of_unknown(layer, own)
    if isinstance(layer, SEPARABLE):
        depthwise, *pointwise = own
        return [
            UnitGroup(
                f"{layer.name}_depthwise", [Weight(depthwise, _last_axes(depthwise, 2))], False
            ),
            _group(layer, pointwise),
        ]
    if isinstance(layer, DEPTHWISE):
        kernel, *bias = own
        weights = [Weight(kernel, _last_axes(kernel, 2)), *(Weight(b, (0,)) for b in bias)]
        return [UnitGroup(layer.name, weights, False)]
    if isinstance(layer, TRANSPOSED):
        kernel, *bias = own
        outputs = len(kernel.shape) - 2
        return [
            UnitGroup(
                layer.name, [Weight(kernel, (outputs,)), *(Weight(b, (0,)) for b in bias)], True
            )
        ]
    if isinstance(layer, keras.layers.EinsumDense):
        return [_einsum_group(layer, own)]
    is_linear = isinstance(layer, (keras.layers.Dense, *CONVOLUTIONS, keras.layers.Embedding))
    is_recurrent = hasattr(layer, "recurrent_kernel") and hasattr(layer, "kernel")
    if is_linear or is_recurrent:
        return [_group(layer, own)]
    return _of_unknown(layer, own)


def _of_unknown(layer: Any, own: list[Any]) -> list[UnitGroup]:
    """Of a layer of which nothing is known every weight is by itself."""
    return [
        UnitGroup(f"{layer.name}_{i}", [Weight(v, _last_axes(v, 1))], False)
        for i, v in enumerate(own)
    ]


def _group(layer: Any, variables: list[Any]) -> UnitGroup:
    return UnitGroup(layer.name, [Weight(v, _last_axes(v, 1)) for v in variables], True)


def _last_axes(variable: Any, count: int) -> tuple[int, ...]:
    rank = len(variable.shape)
    return tuple(range(max(rank - count, 0), rank))


def _einsum_group(layer: Any, own: list[Any]) -> UnitGroup:
    """Units are the outputs' letters that the kernel has and, if there is a bias, the bias too."""
    inputs, outputs = layer.equation.replace(" ", "").replace("...", "").split("->")
    letters = inputs.split(",")[1]
    units = [c for c in outputs if c in letters and (not layer.bias_axes or c in layer.bias_axes)]
    kernel, *bias = own
    weights = [Weight(kernel, tuple(letters.index(c) for c in units))]
    if bias:
        first = min(outputs.index(c) for c in layer.bias_axes)
        of_bias = outputs[first:]
        weights.append(Weight(bias[0], tuple(of_bias.index(c) for c in units)))
    return UnitGroup(layer.name, weights, True)
