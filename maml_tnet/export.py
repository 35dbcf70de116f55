"""A learner as a SavedModel: without this package, it learns a support set and answers queries."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from maml_tnet.arguments import whole_number
from maml_tnet.compat import sublayers, tf_variable
from maml_tnet.meta_learner import MetaLearner
from maml_tnet.saved_model import SIGNATURE, check_same, write_saved_model

# What a graph refers to besides variables, and must be saved with it.
TABLES = (
    *(tf.lookup.StaticHashTable, tf.lookup.StaticVocabularyTable),
    *(tf.lookup.experimental.MutableHashTable, tf.lookup.experimental.DenseHashTable),
)


def export(
    meta_learner: MetaLearner,
    folder: str | os.PathLike[str],
    *,
    support_x: tf.Tensor,
    support_y: tf.Tensor,
    query_x: tf.Tensor,
    num_updates: int | None = None,
    inputs_of: Callable[[tf.Tensor], tf.Tensor] | None = None,
    extra_files: Mapping[str, str] | None = None,
) -> None:
    """Write a SavedModel whose default signature adapts and predicts, and check it.

    The signature takes `support_x` [tasks, support, ...], `support_y` [tasks, support, outputs]
    (regression targets or one-hot labels) and `query_x` [tasks, queries, ...], any numbers of
    tasks, support examples and queries, for a `PrototypeConvNet` also of classes, and returns
    {"predictions": [tasks, queries, outputs]}: regression values or class probabilities. Masks are
    at their mode, so it is deterministic.

    Where queries do not influence each other there are also `learn`, which takes one task's
    `support_x` [support, ...] and `support_y` [support, outputs] and returns some tensors, and
    `answer`, which takes these and `query_x` [queries, ...] and returns {"predictions": [queries,
    outputs]}: a task is learned once and asked at any time.

    With `inputs_of` there is `classify_images`, for one task as a server or a phone has it:
    `support_images` and `query_images` in the form that `inputs_of` takes, each of the two of one
    size, and `support_labels` int32 [support], the number of each image's class. It returns
    {"class": [queries], the number of the likeliest; "classes": [way], the numbers of the columns;
    "probabilities": [queries, way]}. The numbers are 0 to way - 1; for a `PrototypeConvNet` any
    numbers, and the columns are in the order in which they first come.

    The folder appears under its name only when the SavedModel has been loaded again and gave the
    same predictions for the examples given here as the model in memory. Its file `SHA256SUMS`
    lists the others' checksums: see `verify_export`.

    Args:
        meta_learner: trained.
        folder: to write; what an earlier export left there is replaced.
        support_x: examples to check the export with, which also fix the shape of an input.
        support_y: their targets.
        query_x: queries to check it with.
        num_updates: inner steps to take; by default as many as in training.
        inputs_of: images, uint8 [images, height, width, channels], -> what the network takes.
        extra_files: name -> text of files to put beside the model, into `assets.extra`.

    Raises:
        ExportError: the folder cannot be written or holds something else than an earlier export, or
            the predictions differ.
        ValueError: no learner, one that is not compiled or whose model has several inputs or
            outputs, num_updates < 0, or examples that do not go with each other.
    """
    if not hasattr(meta_learner, "num_updates"):
        raise ValueError(
            f"a {type(meta_learner).__name__} is no learner: a Keras model that has learned a task "
            "has an export of its own"
        )
    steps = meta_learner.num_updates
    if num_updates is not None:
        steps = whole_number("num_updates", num_updates, least=0)
    given = {"support_x": support_x, "support_y": support_y, "query_x": query_x}
    batch, dtype = _checked_batch(meta_learner, given), meta_learner.network.dtype
    inputs, targets = (
        tf.TensorSpec([None, *batch[name].shape[2:]], batch[name].dtype)
        for name in ("support_x", "support_y")
    )
    if getattr(meta_learner.network, "outputs_per_example", 0) is None:
        targets = tf.TensorSpec([*targets.shape[:-1], None], dtype)  # for any number of classes
    signatures: dict[str, Any] = {}
    if isinstance(meta_learner, MetaLearner):
        learn, answer = _of_one_task(meta_learner, inputs, targets, steps)
        if not meta_learner.network.queries_influence_each_other:
            signatures |= {"learn": learn, "answer": answer}
        if inputs_of is not None:
            signatures["classify_images"] = _of_images(learn, answer, inputs_of, targets)

        def one_task(task: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
            support_x, support_y, query_x = task
            learned = learn(support_x=support_x, support_y=support_y)
            return answer(query_x=query_x, **learned)["predictions"]

    @tf.function(autograph=False)
    def adapt_and_predict(
        support_x: tf.Tensor, support_y: tf.Tensor, query_x: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        support_x = _checked_any("task", support_x)
        tasks = _checked_as_many("tasks", support_x, support_y, query_x)
        if isinstance(meta_learner, MetaLearner):
            return {"predictions": tf.map_fn(one_task, tasks, fn_output_signature=dtype)}
        return {"predictions": meta_learner.adapt_and_predict(*tasks, steps)}

    signatures[SIGNATURE] = adapt_and_predict.get_concrete_function(
        support_x=_of_tasks(inputs), support_y=_of_tasks(targets), query_x=_of_tasks(inputs)
    )

    # Only the variables: Keras would otherwise add its own description of the whole model.
    module = tf.Module()
    module.parameters = [tf_variable(v) for v in meta_learner.trainable_variables]
    if tables := lookup_tables(meta_learner.network):
        module.tables = tables
    # Compiled, too: many inner steps amplify the rounding in which eager execution differs.
    expected = signatures[SIGNATURE](**batch)["predictions"]

    def check(loaded: Mapping[str, Any]) -> None:
        check_same(loaded[SIGNATURE](**batch)["predictions"], expected, folder)
        if "learn" in loaded:
            one = {name: value[0] for name, value in batch.items()}
            learned = loaded["learn"](support_x=one["support_x"], support_y=one["support_y"])
            answers = loaded["answer"](query_x=one["query_x"], **learned)["predictions"]
            check_same(answers, expected[0], folder)

    write_saved_model(module, signatures, Path(folder), check, extra_files)


def lookup_tables(network: Any) -> list[Any]:
    """The tables of a model's layers, such as the vocabulary of a `TextVectorization`."""
    return [
        part
        for layer in sublayers(network)
        for part in vars(layer).values()
        if isinstance(part, TABLES)
    ]


def _checked_batch(meta_learner: Any, given: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """The examples to check an export with, as its signature takes them.

    Raises:
        ValueError: a part is several arrays, the learner is not compiled, or the parts do not go
            with each other.
    """
    for name, value in given.items():
        if isinstance(value, dict | list | tuple):
            raise ValueError(
                f"{name} must be one array: only models of one input and one output are exported, "
                "as SavedModels that learn"
            )
    if meta_learner.task_loss is None:
        raise ValueError("compile the learner first: its loss is what tasks descend")
    batch = {name: _as_taken(meta_learner, value) for name, value in given.items()}
    meta_learner.check_parts(**batch)
    return batch


def _as_taken(meta_learner: Any, value: Any) -> tf.Tensor:
    """Examples of the type that a signature takes: of a Keras model whole numbers stay such."""
    tensor = tf.convert_to_tensor(value)
    if isinstance(meta_learner, MetaLearner) or tensor.dtype.is_floating:
        return tf.cast(tensor, meta_learner.network.dtype)
    return tensor


def _checked_as_many(what: str, *values: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Let a signature refuse lists of different lengths: a single one would be used for all."""
    message = f"there must be as many of all {what}"
    sizes = [tf.shape(value)[0] for value in values]
    checks = [tf.debugging.assert_equal(sizes[0], size, message) for size in sizes[1:]]
    with tf.control_dependencies(checks):
        return tuple(tf.identity(value) for value in values)


def _checked_any(what: str, values: tf.Tensor) -> tf.Tensor:
    """Let a signature refuse that there is none of something."""
    check = tf.debugging.assert_positive(tf.shape(values)[0], f"there must be a {what} at least")
    with tf.control_dependencies([check]):
        return tf.identity(values)


def _checked_labels(y: tf.Tensor) -> tf.Tensor:
    """Let a signature refuse what is not one-hot: numbers of classes would be one class alone."""
    message = "labels must be one-hot rows [support, way], of two classes or more"
    sums = tf.reduce_sum(y, axis=-1)
    checks = [
        tf.debugging.assert_greater(tf.shape(y)[-1], 1, message),
        tf.debugging.assert_non_negative(y, message),
        # Not assert_near, which asks NumPy for an epsilon that it does not know of bfloat16.
        tf.debugging.assert_less(tf.abs(sums - 1), tf.constant(1e-3, sums.dtype), message),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(y)


def _of_tasks(spec: tf.TensorSpec) -> tf.TensorSpec:
    return tf.TensorSpec([None, *spec.shape], spec.dtype)


def _of_one_task(
    meta_learner: MetaLearner, inputs: tf.TensorSpec, targets: tf.TensorSpec, steps: int
) -> tuple[Any, Any]:
    """The signatures `learn` and `answer`, compiled."""

    @tf.function(autograph=False)
    def learn(support_x: tf.Tensor, support_y: tf.Tensor) -> dict[str, tf.Tensor]:
        support_x, support_y = _checked_as_many("support examples and labels", support_x, support_y)
        support_x = _checked_any("support example", support_x)
        if meta_learner.task_loss.classifies and not meta_learner.task_loss.takes_class_numbers:
            support_y = _checked_labels(support_y)
        learned = meta_learner.learn(support_x[tf.newaxis], support_y[tf.newaxis], steps)
        return {f"learned_{i:03}": value for i, value in enumerate(learned)}

    @tf.function(autograph=False)
    def answer(query_x: tf.Tensor, **learned: tf.Tensor) -> dict[str, tf.Tensor]:
        in_order = [learned[name] for name in sorted(learned)]
        return {"predictions": meta_learner.answer(query_x[tf.newaxis], in_order)[0]}

    compiled = learn.get_concrete_function(support_x=inputs, support_y=targets)
    learned = {
        name: tf.TensorSpec(value.shape, value.dtype, name)
        for name, value in compiled.structured_outputs.items()
    }
    return compiled, answer.get_concrete_function(query_x=inputs, **learned)


def _of_images(
    learn: Any, answer: Any, inputs_of: Callable[[tf.Tensor], tf.Tensor], targets: tf.TensorSpec
) -> Any:
    """The signature `classify_images`, compiled."""
    way = targets.shape[-1]

    @tf.function(autograph=False)
    def classify_images(
        support_images: tf.Tensor, support_labels: tf.Tensor, query_images: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        if way is None:
            classes = tf.unique(support_labels).y
        else:
            message = f"support_labels must be numbers of classes from 0 to {way - 1}"
            tf.debugging.assert_non_negative(support_labels, message)
            tf.debugging.assert_less(support_labels, way, message)
            classes = tf.range(way)
        one_hot = tf.cast(support_labels[:, tf.newaxis] == classes, targets.dtype)
        learned = learn(support_x=inputs_of(support_images), support_y=one_hot)
        probabilities = answer(query_x=inputs_of(query_images), **learned)["predictions"]
        return {
            "class": tf.gather(classes, tf.argmax(probabilities, axis=-1)),
            "classes": classes,
            "probabilities": probabilities,
        }

    images = tf.TensorSpec([None, None, None, None], tf.uint8)
    return classify_images.get_concrete_function(
        support_images=images,
        support_labels=tf.TensorSpec([None], tf.int32),
        query_images=images,
    )
