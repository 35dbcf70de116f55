"""One task at a time and core inside `tf.map_fn`, with its gradient and conv2d."""

import tensorflow as tf

from benchmarks.contestants import CORES
from benchmarks.contestants.tf_task import TfContestant


class MapFn(TfContestant):
    """As many tasks at once as there are cores; each operation has one thread (`ENTRIES`)."""

    @tf.function
    def mean_gradient(self, episode: tuple, noise: list[tf.Tensor]) -> list[tf.Tensor]:
        """See `TfContestant`."""
        gradients = tf.map_fn(
            self.task_gradient,
            (*episode, noise),
            fn_output_signature=[tf.TensorSpec(v.shape, v.dtype) for v in self.parameters.values()],
            parallel_iterations=CORES,
        )
        return [tf.reduce_mean(gradient, 0) for gradient in gradients]
