"""The differences between the two supported stacks, all of them.

Python <= 3.11: TensorFlow 2.15 with Keras 2 and TensorFlow Addons. Python >= 3.12: current
TensorFlow with Keras 3, for which no TensorFlow Addons exists.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import tensorflow as tf
from tensorflow import keras


def tensorflow_addons() -> ModuleType:
    """Return TensorFlow Addons.

    Raises:
        ImportError: where it is not installed, saying which stack has it.
    """
    try:
        import tensorflow_addons
    except ImportError as error:
        raise ImportError(
            "TensorFlow Addons is not installed here: it exists for TensorFlow <= 2.15 and "
            f"Python <= 3.11 only, and this is TensorFlow {tf.__version__}"
        ) from error
    return tensorflow_addons


def build_layer(layer: Any, input_shape: Sequence[Any]) -> None:
    """Create a layer's variables under its name, which TensorBoard's histograms show.

    Keras 3 names them after their layer, Keras 2 after the name scope that is open.
    """
    with tf.name_scope(layer.name):
        layer.build(input_shape)


def build_optimizer(optimizer: Any, variables: list[tf.Variable]) -> None:
    """Create the optimizer's variables now, so that a checkpoint can be restored into them.

    The optimizers of TensorFlow Addons are Keras' legacy ones, which build under another name.
    """
    if hasattr(optimizer, "build"):
        optimizer.build(variables)
    else:
        optimizer._create_all_weights(variables)


def optimizer_variables(optimizer: Any) -> list[tf.Variable]:
    """List the optimizer's variables, those of an optimizer wrapped inside it included.

    Keras' legacy optimizers have them as `weights`; their `variables()` leaves out the moments of
    the optimizer that Lookahead and MovingAverage wrap.
    """
    is_legacy = not hasattr(optimizer, "build")
    return list(optimizer.weights if is_legacy else optimizer.variables)


def apply_mean_gradients(optimizer: Any, gradients: list[tf.Tensor], variables: list[Any]) -> None:
    """Take the optimizer's step with gradients that are the same on every replica.

    Of itself it would sum them over the replicas, so many times too much: Keras 2 has an argument
    against that, Keras 3 has a method that does it, and nothing else.

    Raises:
        RuntimeError: it has no such method in this version.
    """
    pairs = zip(as_scaled(optimizer, gradients), variables, strict=True)
    if tf.distribute.get_replica_context().num_replicas_in_sync == 1:
        optimizer.apply_gradients(pairs)
        return
    if not hasattr(keras, "StatelessScope"):  # Keras 2
        optimizer.apply_gradients(pairs, experimental_aggregate_gradients=False)
        return
    for own in (optimizer, getattr(optimizer, "inner_optimizer", None)):
        if own is not None and not hasattr(own, "_all_reduce_sum_gradients"):
            raise RuntimeError(
                f"under a tf.distribute strategy of several replicas {type(own).__name__} of Keras "
                f"{keras_version()} cannot be kept from adding gradients up: take another version"
            )
        if own is not None:
            own._all_reduce_sum_gradients = list
    optimizer.apply_gradients(pairs)


def as_scaled(optimizer: Any, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
    """Gradients of a loss as an optimizer that scales losses takes them, which divides them.

    That is a LossScaleOptimizer or any with a `loss_scale_factor`, in Keras 3; Keras 2 leaves the
    division to the caller.
    """
    scale = getattr(optimizer, "scale_loss", None)
    return gradients if scale is None else [scale(gradient) for gradient in gradients]


def as_first_raised(error: Exception) -> Exception:
    """The error that was raised while a graph was traced.

    In Keras 2 AutoGraph raises another of its kind, which says in some thirty lines where it was.
    """
    while str(error).startswith("in user code:") and isinstance(error.__context__, type(error)):
        error = error.__context__
    return error


def forget_validation_data(model: Any) -> None:
    """Have `fit` take the validation data that it is given.

    Of a training that was broken off Keras 2 keeps them, and takes them for the next one's.
    """
    if getattr(model, "_eval_data_handler", None) is not None:
        model._eval_data_handler = None


def backs_up_within_epochs(callback: Any) -> bool:
    """Whether it is a `BackupAndRestore` that does not back up at the ends of epochs alone.

    Keras 2 also has one that does before the machine is taken away.
    """
    if not isinstance(callback, keras.callbacks.BackupAndRestore):
        return False
    return callback.save_freq != "epoch" or getattr(callback, "save_before_preemption", False)


def begin_training(told: keras.callbacks.CallbackList, model: Any, initial_epoch: int) -> int:
    """Tell callbacks that training begins, of which `BackupAndRestore` restores a backup.

    It leaves the epoch at the model: Keras 3's callback as a number, Keras 2's as a state. Either
    stays there where that training was broken off, and is not taken for the next one's.

    Args:
        told: the callbacks.
        model: that they have.
        initial_epoch: without a backup.

    Returns:
        the epoch to begin with.
    """
    for name in ("_initial_epoch", "_training_state"):
        if getattr(model, name, None) is not None:
            setattr(model, name, None)
    told.on_train_begin()
    if (state := getattr(model, "_training_state", None)) is not None:
        # The steps of an epoch matter to backups within epochs alone.
        return int(state.maybe_load_initial_counters_from_ckpt(None, initial_epoch, "train")[0])
    return getattr(model, "_initial_epoch", None) or initial_epoch


def keras_version() -> str:
    """Return the version of the Keras that TensorFlow uses."""
    return getattr(keras, "__version__", None) or __import__("keras").__version__


def tf_variable(variable: Any) -> tf.Variable:
    """Return the TensorFlow variable behind a Keras variable (in Keras 2 they are the same)."""
    return variable if isinstance(variable, tf.Variable) else variable.value


def require_keras_3() -> None:
    """Check that a model can be called with weights that are handed in.

    Raises:
        RuntimeError: it cannot: this is Keras 2.
    """
    if not hasattr(keras, "StatelessScope"):
        raise RuntimeError(
            "a MetaLearner of any Keras model needs Keras 3 (TensorFlow >= 2.18, Python >= 3.12), "
            f"and this is Keras {keras_version()}: take maml_tnet.ConvNet or Regressor"
        )


def sublayers(layer: Any) -> list[Any]:
    """A layer and all layers inside it, of which neither Keras has a public list."""
    return layer._flatten_layers(include_self=True)


def is_functional(model: Any) -> bool:
    """Whether a model is made of layers that `clone_model` can replace, and of nothing else."""
    own = [kind for kind in type(model).__mro__ if not kind.__module__.startswith("keras.")]
    if any("call" in vars(kind) for kind in own):
        return False
    return isinstance(model, keras.Sequential) or hasattr(model, "operations")
