"""Functions and objects of one's own that layers hold, for copies of these layers.

A configuration has them by name, from which Keras makes them again only where they are registered.
"""

import types
from typing import Any

import tensorflow as tf
from tensorflow import keras

from maml_tnet.compat import sublayers


def with_own_parts(layer: Any, config: dict[str, Any]) -> dict[str, Any]:
    """A layer's configuration that has the layer's own functions and objects themselves.

    Those are activations, initializers, regularizers, constraints and the like of other classes
    than Keras' own. Layers inside it stay configurations, so that a copy has others.

    Args:
        layer: of Keras' own class, or of one's own.
        config: of `get_config`, or a part of one.
    """
    if not _is_keras_own(type(layer).from_config):
        return config  # it takes what `get_config` gave, whatever that is
    return {name: _held(layer, name, part) for name, part in config.items()}


def own_classes(layer: Any) -> dict[str, type]:
    """The classes of one's own of the layers inside a layer, by the names they are called by."""
    classes: dict[str, type] = {}
    ambiguous = set()
    for kind in map(type, sublayers(layer)):
        name = keras.utils.get_registered_name(kind)
        if not _is_keras_own(kind) and classes.setdefault(name, kind) is not kind:
            ambiguous.add(name)
    return {name: kind for name, kind in classes.items() if name not in ambiguous}


def _held(layer: Any, name: str, part: Any) -> Any:
    """What a layer holds for a part of its configuration; that part, if it is not of one's own."""
    if not isinstance(part, dict | list | tuple | str):
        return part
    value = getattr(layer, name, getattr(layer, f"_{name}", None))
    if isinstance(part, list | tuple):
        inner = value if isinstance(value, list | tuple) else []
        layers = {each.name: each for each in inner if isinstance(each, keras.layers.Layer)}
        return type(part)(_of_layer(layers.get(_name(each)), each) for each in part)
    if isinstance(value, keras.layers.Layer):
        return _of_layer(value, part)
    # Keras' layers may say no more of a function than a name, which one of Keras' own may have.
    is_function = isinstance(value, types.FunctionType) and _is_keras_own(type(layer))
    is_object = isinstance(part, dict) and "class_name" in part and _is_own(value)
    return value if is_function or is_object else part


def _of_layer(layer: Any, part: Any) -> Any:
    """The same of a layer inside another one, whose part this is."""
    if layer is None or not isinstance(part, dict) or not isinstance(part.get("config"), dict):
        return part
    return {**part, "config": with_own_parts(layer, part["config"])}


def _name(part: Any) -> Any:
    """The name of the layer that a part is of, if it is of one."""
    config = part.get("config") if isinstance(part, dict) else None
    return config.get("name") if isinstance(config, dict) else None


def _is_own(value: Any) -> bool:
    """Whether something is a function, or a callable object of one's own without weights."""
    with_weights = isinstance(value, keras.Operation | tf.Module)
    return callable(value) and not with_weights and not _is_keras_own(type(value))


def _is_keras_own(kind: Any) -> bool:
    return kind.__module__.startswith("keras.")
