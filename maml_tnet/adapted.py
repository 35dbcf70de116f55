"""What an exported model has learned of one task, as a SavedModel of its own."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from maml_tnet.saved_model import SIGNATURE, check_same, write_saved_model


def export_adapted(
    model: Any,
    folder: str | os.PathLike[str],
    *,
    support_x: tf.Tensor,
    support_y: tf.Tensor,
    classes: Sequence[str],
    inputs_of: Callable[[tf.Tensor], tf.Tensor],
    extra_files: Mapping[str, str] | None = None,
) -> None:
    """Learn a task with an exported model and write a SavedModel that knows its classes.

    The support set is learned here, once. The default signature takes `images`, in the form that
    `inputs_of` takes, and returns for each of them {"class": [images], the name of the likeliest;
    "classes": [images, way], all names; "probabilities": [images, way]}. The signature `answer`
    takes `query_x` [images, ...], what the network itself takes, and returns {"predictions":
    [images, way]}. As in `maml_tnet.export`, the folder appears only when the SavedModel has been
    loaded again and answers as the model that it comes from.

    Args:
        model: loaded by `tf.saved_model.load` of an export with the signatures `learn` and
            `answer`.
        folder: to write; what an earlier export left there is replaced.
        support_x: images to learn from, as the network takes them, [support, ...].
        support_y: their one-hot labels, [support, way].
        classes: the names of the classes.
        inputs_of: images, uint8 [images, height, width, channels], -> what the network takes.
        extra_files: see `maml_tnet.export`.

    Raises:
        ExportError: the folder cannot be written or holds something else than an earlier export, or
            the answers differ.
        ValueError: not as many names as classes, or one twice.
    """
    if len(set(classes)) != len(classes) or len(classes) != support_y.shape[-1]:
        raise ValueError(
            f"classes must be {support_y.shape[-1]} names that differ, one for each column of "
            f"support_y, got {list(classes)!r:.100}"
        )
    learn, answer_task = model.signatures["learn"], model.signatures["answer"]
    module = tf.Module()
    module.parameters = model.parameters
    module.learned = {
        name: tf.Variable(value, trainable=False)
        for name, value in learn(support_x=support_x, support_y=support_y).items()
    }
    names = tf.constant(list(classes))

    @tf.function(autograph=False)
    def answer(query_x: tf.Tensor) -> dict[str, tf.Tensor]:
        learned = {name: value.read_value() for name, value in module.learned.items()}
        return answer_task(query_x=query_x, **learned)

    @tf.function(autograph=False)
    def classify(images: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = answer(inputs_of(images))["predictions"]
        return {
            "class": tf.gather(names, tf.argmax(probabilities, axis=-1)),
            "classes": tf.repeat(names[tf.newaxis], tf.shape(images)[0], axis=0),
            "probabilities": probabilities,
        }

    inputs = tf.TensorSpec([None, *support_x.shape[1:]], support_x.dtype)
    expected = model.signatures[SIGNATURE](
        support_x=support_x[tf.newaxis],
        support_y=support_y[tf.newaxis],
        query_x=support_x[tf.newaxis],
    )["predictions"][0]

    def check(loaded: Mapping[str, Any]) -> None:
        check_same(loaded["answer"](query_x=support_x)["predictions"], expected, folder)

    signatures = {
        SIGNATURE: classify.get_concrete_function(
            images=tf.TensorSpec([None, None, None, None], tf.uint8)
        ),
        "answer": answer.get_concrete_function(query_x=inputs),
    }
    write_saved_model(module, signatures, Path(folder), check, extra_files)
