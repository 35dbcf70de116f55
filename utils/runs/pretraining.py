"""The original's baselines that learn without adapting: pretraining and the oracle."""

from typing import Any

import tensorflow as tf

from maml_tnet import MetaLearner
from maml_tnet.adaptation import adaptation_path, examples
from maml_tnet.meta_learner import MaskNoise
from maml_tnet.task_episode import EpisodeLike


class PretrainedMetaLearner(MetaLearner):
    """A meta-learner whose first iterations minimize the loss before adaptation instead.

    Args:
        *args: see `MetaLearner`.
        pretrain_iterations: number of those iterations.
        **kwargs: see `MetaLearner`.
    """

    def __init__(self, *args: Any, pretrain_iterations: int, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.pretrain_iterations = pretrain_iterations

    def iteration_gradient(self, iteration: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Pretraining's gradient in the first iterations, the meta-gradient in those after."""
        episode = self.sample_episode(iteration)
        return tf.cond(
            iteration < self.pretrain_iterations,
            lambda: self.mean_over_parts(self._part_gradient, (episode, [])),
            lambda: self.meta_gradient(episode, tf.stack([self.seed, iteration])),
        )

    def _part_gradient(
        self, part: tuple[EpisodeLike, MaskNoise]
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Of the loss on a part's support examples before any adaptation."""
        episode, _ = part
        support = examples(self.network, episode.support_x, episode.support_y)
        with tf.GradientTape() as tape:
            (start,) = adaptation_path(
                self.network,
                self.task_loss.values,
                support,
                tasks=episode.support_x.shape[0],
                step_sizes=self.step_sizes,
                masks=[],
            )
            outputs = self.network.forward(support.inputs, start.fast_weights)
            measures = self.measures(outputs, support, tf.shape(support.targets)[0])
            loss = tf.reduce_mean(measures[0])
        # The same before and after adaptation, as there is none.
        means = [tf.reduce_mean(value) for value in measures for _ in ("before", "after")]
        return self.gradients(tape, loss), means
