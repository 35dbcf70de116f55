"""Queries have the class of the support image whose features are nearest."""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf
from tensorflow import keras

from data_generators.episode import Episode

DISTANCES = ("euclidean", "cosine")


def nearest_neighbour(features: keras.Model, episodes: Iterable[Episode]) -> dict[str, np.ndarray]:
    """Give every query the class of the support image whose features are nearest.

    Returns:
        distance -> accuracy of every task.
    """
    accuracies: dict[str, list[np.ndarray]] = {distance: [] for distance in DISTANCES}
    embed = tf.function(lambda x: features(x, training=False), autograph=False)
    for episode in episodes:
        tasks, *image_shape = episode.support_x.shape[0], *episode.support_x.shape[2:]
        support, query = (
            tf.reshape(embed(tf.reshape(x, [-1, *image_shape])), [tasks, x.shape[1], -1])
            for x in (episode.support_x, episode.query_x)
        )
        for distance, found in accuracies.items():
            nearest = tf.argmax(_similarity(query, support, distance), axis=-1)
            answers = tf.gather(episode.support_y, nearest, batch_dims=1)
            correct = tf.argmax(answers, -1) == tf.argmax(episode.query_y, -1)
            found.append(np.mean(correct.numpy(), axis=1))
    return {distance: np.concatenate(found) for distance, found in accuracies.items()}


def _similarity(query: tf.Tensor, support: tf.Tensor, distance: str) -> tf.Tensor:
    """[tasks, queries, features] and [tasks, support, features] -> [tasks, queries, support]."""
    if distance == "cosine":
        query, support = (tf.math.l2_normalize(x, axis=-1) for x in (query, support))
        return tf.matmul(query, support, transpose_b=True)
    return 2 * tf.matmul(query, support, transpose_b=True) - tf.reduce_sum(support**2, -1)[:, None]
