"""A copy of a Keras model to meta-learn with, and plain copies to hand out."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from tensorflow import keras

from maml_tnet.any_model.exact_normalization import (
    ExactBatchNormalization,
    ExactGroupNormalization,
    ExactLayerNormalization,
    ExactSpectralNormalization,
)
from maml_tnet.any_model.exact_upsampling import ExactUpSampling2D
from maml_tnet.any_model.own_parts import own_classes, with_own_parts
from maml_tnet.any_model.same_answers import check_same_answers, warn_of_other_arguments
from maml_tnet.any_model.strided_convolutions import check_strided_convolution
from maml_tnet.compat import is_functional, require_keras_3, sublayers

EXACT: dict[Any, Any] = {
    keras.layers.BatchNormalization: ExactBatchNormalization,
    keras.layers.LayerNormalization: ExactLayerNormalization,
    keras.layers.GroupNormalization: ExactGroupNormalization,
    keras.layers.SpectralNormalization: ExactSpectralNormalization,
    keras.layers.UpSampling2D: ExactUpSampling2D,
}
"""Keras' layers whose second derivatives are wrong, and what takes their places."""


def exact_copy(model: keras.Model) -> keras.Model:
    """Copy a model, with exact layers in place of those of Keras that are not (`EXACT`).

    Layers without weights are shared with the original. A subclassed model, whose layers cannot
    be replaced from outside, is returned itself, and so is one with a `call` of its own.

    Args:
        model: built.

    Raises:
        RuntimeError: this is Keras 2, whose models cannot be called with weights handed in.
        ValueError: the model has no weights yet, has a layer that cannot be meta-learned, or its
            copy answers otherwise.
    """
    require_keras_3()
    _refuse(model)
    copy = _clone(model, EXACT) if is_functional(model) else model
    for layer in sublayers(copy):
        if _is_inexact(layer):
            if type(layer) not in EXACT:
                kind = next(each.__name__ for each in EXACT if isinstance(layer, each))
                raise ValueError(
                    f"the layer {layer.name!r} ({type(layer).__name__}) is of a subclass of Keras' "
                    f"{kind}, whose second derivatives are wrong, and of which only Keras' own "
                    f"class can be replaced: use keras.layers.{kind}"
                )
            raise ValueError(
                f"the layer {layer.name!r} ({type(layer).__name__}) is inside a subclassed model "
                "or layer, where it cannot be replaced, and its second derivatives are wrong: "
                "build the model with the functional API or Sequential"
            )
    if copy is not model:
        check_same_answers(model, copy)
        warn_of_other_arguments(model, copy)
    return copy


def plain_copy(model: keras.Model, example: Any, *, keeps_batch_norms: bool) -> keras.Model:
    """Copy a model that `exact_copy` made, with Keras' own normalizations again.

    Args:
        model: to copy, with its weights.
        example: a batch of inputs, to build a subclassed model with.
        keeps_batch_norms: whether batch normalizations stay as they are, for queries that are
            normalized by their own batch.

    Raises:
        ValueError: a subclassed model that cannot be made again from its `get_config`.
    """
    kept = [ExactSpectralNormalization, *([ExactBatchNormalization] if keeps_batch_norms else [])]
    if is_functional(model):
        return _clone(model, {exact: plain for plain, exact in EXACT.items() if exact not in kept})
    with _remaking(model, type(model).__name__):
        copy = type(model).from_config(model.get_config())
        copy(example)
    copy.set_weights(model.get_weights())
    _freeze_the_same(model, copy)
    return copy


def _clone(model: keras.Model, replaced: Mapping[Any, Any]) -> keras.Model:
    """Copy a functional or sequential model with models inside it and all weights."""
    copy = keras.models.clone_model(
        model, clone_function=lambda layer: _remade(layer, replaced), recursive=True
    )
    if len(copy.weights) != len(model.weights):
        raise ValueError(
            f"{model.name!r} cannot be copied: a layer is used by itself and inside another one, "
            "such as TimeDistributed, which would have a copy of its own"
        )
    copy.set_weights(model.get_weights())
    _freeze_the_same(model, copy)
    return copy


def _freeze_the_same(model: keras.Model, copy: keras.Model) -> None:
    """Let of a copy train what trains in the model: configurations say it of whole layers alone.

    A layer hands what is said of it on to those inside it, which follow it here, and a layer may be
    both models'.
    """
    parts, copied = sublayers(model), sublayers(copy)
    if len(parts) != len(copied):  # a model inside it has a call of its own, which is refused later
        parts, copied = [], []
    trains = [part.trainable for part in (*parts, *model.weights)]
    for part, does in zip((*copied, *copy.weights), trains, strict=True):
        if part.trainable != does:
            part.trainable = does


def _remade(layer: Any, replaced: Mapping[Any, Any]) -> Any:
    """Make a layer anew from its configuration, of the class that replaces its own.

    Layers that have no weights and hold nothing to replace are the same in all copies: some, such
    as `Lambda`, are more than their configuration, and so is an adapted `Normalization`, also
    inside another layer.
    """
    if not isinstance(layer, keras.layers.Layer):
        return layer  # an operation, such as +
    inner = sublayers(layer)
    changes = any(type(each) in replaced for each in inner)
    adapted = {
        id(weight)
        for each in inner
        if isinstance(each, keras.layers.Normalization)
        for weight in each.weights
    }
    if not changes and all(id(weight) in adapted for weight in layer.weights):
        return layer
    with _remaking(layer, f"the layer {layer.name!r} ({type(layer).__name__})"):
        config = with_own_parts(layer, layer.get_config())
        config = _with_classes_replaced(config, replaced)
        return replaced.get(type(layer), type(layer)).from_config(config)


@contextlib.contextmanager
def _remaking(layer: Any, what: str) -> Iterator[None]:
    """Let a block make a layer or a model anew from its configuration.

    Raises:
        ValueError: it cannot.
    """
    try:
        with keras.utils.custom_object_scope(own_classes(layer)):
            yield
    except (NotImplementedError, TypeError, ValueError) as error:
        # Keras puts one error into another, and whole configurations after the first sentence.
        reason = " ".join(str(error).rsplit("Exception encountered: ", 1)[-1].split())
        raise ValueError(
            f"{what} cannot be copied, {reason.split('. ')[0]:.200}: it needs a get_config that "
            "says all, and functions and classes of your own that it names need a "
            "@keras.utils.register_keras_serializable()"
        ) from error


def _with_classes_replaced(config: Any, replaced: Mapping[Any, Any]) -> Any:
    """A wrapper's configuration, in which the layers inside it have other classes."""
    if isinstance(config, list | tuple):
        return type(config)(_with_classes_replaced(part, replaced) for part in config)
    if not isinstance(config, dict):
        return config
    config = {name: _with_classes_replaced(part, replaced) for name, part in config.items()}
    for old, new in replaced.items():
        if _header(old).items() <= config.items():
            config |= _header(new)
    return config


def _header(kind: Any) -> dict[str, Any]:
    """How a class is called in a configuration."""
    is_ours = kind in EXACT.values()
    return {
        "module": kind.__module__ if is_ours else "keras.layers",
        "class_name": kind.__name__,
        "registered_name": keras.utils.get_registered_name(kind) if is_ours else None,
    }


def _is_inexact(layer: Any) -> bool:
    """Whether a layer is one of Keras' whose second derivatives are wrong."""
    # A frozen batch normalization uses its moving averages, which are constants.
    if isinstance(layer, keras.layers.BatchNormalization) and not layer.trainable:
        return False
    return isinstance(layer, tuple(EXACT)) and type(layer) not in EXACT.values()


def _refuse(model: keras.Model) -> None:
    """Refuse what cannot be meta-learned, by name."""
    if not model.built or not model.weights:
        raise ValueError(
            f"the model {model.name!r} has no weights yet: give it an Input, or call it once on a "
            "batch"
        )
    for layer in sublayers(model):
        check_strided_convolution(layer)
        if getattr(layer, "stateful", False) is True:
            raise ValueError(
                f"the layer {layer.name!r} is stateful: its state would go from one task to the "
                "next; make it with stateful=False"
            )
        if getattr(layer, "renorm", False):
            raise ValueError(
                f"the layer {layer.name!r} renormalizes by moving averages, which tasks do not "
                "share: make it with renorm=False"
            )
        if getattr(layer, "quantization_mode", None):
            raise ValueError(
                f"the layer {layer.name!r} is quantized ({layer.quantization_mode}): its kernel "
                "does not train, take the model from before quantize"
            )
        if layer.dtype_policy.name in ("mixed_float16", "float16"):
            raise ValueError(
                f"the layer {layer.name!r} is {layer.dtype_policy.name}, whose inner gradients "
                "would need a loss scale of their own: use mixed_bfloat16"
            )
