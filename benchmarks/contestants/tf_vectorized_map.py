"""All tasks at once by `tf.vectorized_map`, compiled with XLA. For networks without convolutions.

A convolution with a kernel a task becomes a while loop there.
"""

import tensorflow as tf

from benchmarks.contestants.tf_task import TfContestant


class VectorizedMap(TfContestant):
    """Every task's gradient inside the map."""

    @tf.function(jit_compile=True)
    def mean_gradient(self, episode: tuple, noise: list[tf.Tensor]) -> list[tf.Tensor]:
        """See `TfContestant`."""
        gradients = tf.vectorized_map(self.task_gradient, (*episode, noise))
        return [tf.reduce_mean(gradient, 0) for gradient in gradients]
