"""Keras' upsampling of images with a gradient that can be differentiated."""

import tensorflow as tf
from tensorflow import keras


@keras.utils.register_keras_serializable("maml_tnet")
class ExactUpSampling2D(keras.layers.UpSampling2D):
    """Upsampling as products with two matrices, which it is: one for rows, one for columns.

    TensorFlow's gradient of `tf.image.resize` has no gradient of its own: second derivatives
    through it are taken as 0.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Upsample images [examples, height, width, features], or with features first."""
        if self.interpolation == "nearest":
            return super().call(inputs)
        rows, columns = (2, 3) if self.data_format == "channels_first" else (1, 2)
        by_rows = self._matrix(inputs, rows, self.size[0])
        by_columns = self._matrix(inputs, columns, self.size[1])
        if self.data_format == "channels_first":
            return tf.einsum("ph,nchw,qw->ncpq", by_rows, inputs, by_columns)
        return tf.einsum("ph,nhwc,qw->npqc", by_rows, inputs, by_columns)

    def _matrix(self, inputs: tf.Tensor, axis: int, factor: int) -> tf.Tensor:
        """The matrix [factor * size, size] that resizes an axis: the resized identity."""
        size = inputs.shape[axis] or tf.shape(inputs)[axis]
        identity = tf.eye(size)[tf.newaxis, :, :, tf.newaxis]
        matrix = tf.image.resize(identity, [factor * size, size], self.interpolation)
        return tf.cast(matrix[0, :, :, 0], inputs.dtype)
