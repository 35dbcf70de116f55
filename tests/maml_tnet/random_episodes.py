"""Small random episodes and parameters for the tests of `maml_tnet`."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf


class Episode(NamedTuple):
    """What a data generator draws, here of noise."""

    support_x: tf.Tensor
    support_y: tf.Tensor
    query_x: tf.Tensor
    query_y: tf.Tensor

    def task(self, index: int) -> "Episode":
        """The episode of one of the tasks alone."""
        return Episode(*(part[index : index + 1] for part in self))


def regression_episode(
    rng: np.random.Generator,
    *,
    tasks: int = 3,
    inputs: int = 1,
    outputs: int = 1,
    shot: int = 5,
    query: int = 4,
    dtype: str = "float64",
) -> Episode:
    """Standard normal points."""

    def normal(examples: int, features: int) -> tf.Tensor:
        return tf.constant(rng.normal(size=[tasks, examples, features]), dtype)

    return Episode(
        normal(shot, inputs), normal(shot, outputs), normal(query, inputs), normal(query, outputs)
    )


def image_episode(
    rng: np.random.Generator,
    image_shape: tuple[int, int, int],
    *,
    tasks: int = 2,
    way: int = 3,
    shot: int = 2,
    query: int = 2,
    dtype: str = "float64",
) -> Episode:
    """Uniform images with one-hot labels in a random order."""

    def images(examples: int) -> tf.Tensor:
        return tf.constant(rng.uniform(size=[tasks, examples, *image_shape]), dtype)

    def labels(per_class: int) -> tf.Tensor:
        order = [rng.permutation(np.repeat(np.arange(way), per_class)) for _ in range(tasks)]
        return tf.one_hot(np.stack(order), way, dtype=dtype)

    return Episode(images(way * shot), labels(shot), images(way * query), labels(query))


def randomize(model: Any, rng: np.random.Generator) -> None:
    """Move every parameter away from its special initial value, T staying near the identity."""
    for layer in model.transform_layers:
        shape = layer.kernel.shape
        layer.kernel.assign(rng.normal(scale=1.2 / np.sqrt(np.prod(shape[:-1])), size=shape))
        if layer.bias is not None:
            layer.bias.assign(rng.normal(scale=0.3, size=layer.bias.shape))
        if layer.transform is not None:
            noise = rng.normal(scale=0.5 / np.sqrt(layer.units), size=layer.transform.shape)
            layer.transform.assign(np.eye(layer.units) + noise)
        for logits in layer.mask_logits:
            logits.assign(rng.normal(size=logits.shape))
    for normalization in getattr(model, "normalizations", ()):
        normalization.beta.assign(rng.normal(scale=0.3, size=normalization.beta.shape))
