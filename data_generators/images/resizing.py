"""Pillow's Lanczos resampling, as TensorFlow operations that a SavedModel can hold.

Pillow resizes the width first, then the height, each by a weighted mean of the pixels that the
kernel reaches, rounded to 8 bits. A size that shrinks widens the kernel by as much, so that no
pixel is passed over. Here each of the two is one product with a matrix of these weights. Pillow
rounds the weights to 22 bits, and this computes with float32, so that now and then a number that
lies between two of 8 bits is rounded to the other one. From version 13 on Pillow resizes the height
first where it shrinks much more than the width (python-pillow pull request 9549); then the numbers
between the two are others.
"""

import math

import tensorflow as tf

LOBES = 3  # of the kernel, to either side


def resize(images: tf.Tensor, side: int) -> tf.Tensor:
    """Resize images to side x side.

    Args:
        images: float32 [images, height, width, channels], integers from 0 to 255.
        side: pixels.

    Returns:
        float32 [images, side, side, channels], integers from 0 to 255.
    """
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    images = _rounded(tf.einsum("ow,nhwc->nhoc", _weights(width, side), images))
    return _rounded(tf.einsum("oh,nhwc->nowc", _weights(height, side), images))


def _weights(size: tf.Tensor, side: int) -> tf.Tensor:
    """The weight of every pixel of a row in every pixel of the resized one, [side, size]."""
    scale = tf.cast(size, tf.float32) / side
    reach = tf.maximum(scale, 1.0)
    center = (tf.range(side, dtype=tf.float32) + 0.5) * scale
    distance = tf.range(tf.cast(size, tf.float32)) + 0.5 - center[:, tf.newaxis]
    weights = _lanczos(distance / reach)
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)


def _lanczos(x: tf.Tensor) -> tf.Tensor:
    """sinc(x) sinc(x / 3) within three lobes, 0 outside."""
    return tf.where(tf.abs(x) < LOBES, _sinc(x) * _sinc(x / LOBES), tf.zeros_like(x))


def _sinc(x: tf.Tensor) -> tf.Tensor:
    at_zero = tf.abs(x) < 1e-6
    angle = math.pi * tf.where(at_zero, tf.ones_like(x), x)
    return tf.where(at_zero, tf.ones_like(x), tf.sin(angle) / angle)


def _rounded(x: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(tf.floor(x + 0.5), 0.0, 255.0)
