"""What a model itself says of training: the argument of its layers' calls, steps of its own."""

import inspect
import warnings
from typing import Any

import tensorflow as tf
from tensorflow import keras

from maml_tnet.any_model.exact_normalization import ExactBatchNormalization
from maml_tnet.compat import is_functional, sublayers

OWN_TRAINING = ("compute_loss", "compute_metrics", "test_step", "train_step")


def warn_of_own_training(model: keras.Model) -> None:
    """Warn of steps and losses of a model's class, which a learner does not call.

    Args:
        model: as it is given.
    """
    own = [kind for kind in type(model).__mro__ if not kind.__module__.startswith("keras.")]
    names = [name for name in OWN_TRAINING if any(name in vars(kind) for kind in own)]
    if names:
        warnings.warn(
            f"{type(model).__name__} has a {' and a '.join(names)} of its own, which a learner "
            "does not call: its tasks descend the loss that it is compiled with",
            stacklevel=2,
        )


def warn_of_overridden_arguments(model: keras.Model) -> None:
    """Warn of calls in a functional model with a `training` that Keras overrides, as is done here.

    `base(x, training=False)` acts while Keras 3 is asked for `model(x)`; `fit`, `evaluate` and
    `predict` say what they are to all layers of the graph.

    Args:
        model: of `copying.exact_copy`.
    """
    for graph in sublayers(model):
        for nodes in getattr(graph, "_nodes_by_depth", {}).values():
            for node in nodes:
                said = _said(node)
                if said is not None and (effects := _effects(node.operation, said)):
                    warnings.warn(
                        f"the model calls {node.operation.name!r} with training={said}, which "
                        "Keras overrides in fit, evaluate and predict, and so does this learner: "
                        + " and ".join(effects),
                        stacklevel=2,
                    )


def keep_moving_averages(model: keras.Model, normalize_by: str) -> None:
    """Let batch normalizations keep their moving averages where a layer of one's own wants that.

    What a layer says in its `call` nothing overrides: it is found by tracing a call in training.

    Args:
        model: of `copying.exact_copy`; its batch normalizations are told.
        normalize_by: "support" or "batch".

    Raises:
        ValueError: a batch normalization is called both ways, or normalizes by the "batch", where
            what `adapt` gives could not keep them.
    """
    own = [layer for layer in sublayers(model) if _is_own(layer)]
    norms = [
        inner
        for layer in own
        for inner in sublayers(layer)
        if isinstance(inner, ExactBatchNormalization) and inner.by_task
    ]
    if not norms:
        return
    inputs = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    if any(getattr(part, "sparse", False) for part in tf.nest.flatten(inputs)):
        return
    for norm in norms:
        norm.heard_true = norm.heard_false = False
    specs = tf.nest.map_structure(lambda part: tf.TensorSpec(part.shape, part.dtype), inputs)
    tf.function(lambda x: model(x, training=True)).get_concrete_function(specs)
    for norm in norms:
        if norm.heard_false and norm.heard_true:
            raise ValueError(
                f"the batch normalization {norm.name!r} is called with training=False and also "
                "without: use two of them"
            )
        if norm.heard_false and normalize_by == "batch":
            raise ValueError(
                f"the batch normalization {norm.name!r} is called with training=False by a layer "
                'of your own: freeze it before MetaLearner(...), or take normalize_by="support"'
            )
        norm.keeps_averages = norm.heard_false


def _said(node: Any) -> bool | None:
    """The `training` of a call; of one that is the layer's default nobody knows who said it."""
    said = node.arguments.kwargs.get("training")
    if not isinstance(said, bool):
        return None
    argument = inspect.signature(node.operation.call).parameters.get("training")
    return None if argument is None or said is argument.default else said


def _effects(operation: Any, said: bool) -> list[str]:
    """What is otherwise for the layers inside a called one than its caller says."""
    inner = sublayers(operation) if isinstance(operation, keras.layers.Layer) else []
    norms = [each for each in inner if isinstance(each, ExactBatchNormalization) and each.by_task]
    random = [each for each in inner if _is_random(each)]
    effects = []
    if norms and not said:
        effects.append(
            f"{_named(norms)} by the task's own statistics (for moving averages, freeze batch "
            "normalizations before MetaLearner(...))"
        )
    if random:
        when = "not random in evaluate, predict and adapt" if said else "random in training"
        effects.append(f"{_named(random)} {when}")
    return effects


def _named(layers: list[Any]) -> str:
    names = ", ".join(repr(layer.name) for layer in layers[:3])
    more = f" and {len(layers) - 3} more" if len(layers) > 3 else ""
    return f"{names}{more} {'is' if len(layers) == 1 else 'are'}"


def _is_random(layer: Any) -> bool:
    """Whether chance is in a layer; recurrent ones have a seed also where they drop nothing."""
    has_seed = any(isinstance(part, keras.random.SeedGenerator) for part in vars(layer).values())
    drops = getattr(layer, "dropout", 1) or getattr(layer, "recurrent_dropout", 0)
    return has_seed and bool(drops)


def _is_own(layer: Any) -> bool:
    is_keras = type(layer).__module__.startswith(("keras.", "maml_tnet."))
    return not is_keras and not is_functional(layer)
