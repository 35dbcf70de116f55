"""A head for any number of classes, in any order: it starts from the support set's prototypes.

The prototype p_c of a class is the mean of its support features. Snell et al. (arXiv 1703.05175)
classify a query x by its squared distances to the prototypes, and

    -s |x - p_c|^2 = 2 s p_c . x - s |p_c|^2 - s |x|^2,

whose last term is the same for all classes, is a dense layer with w_c = 2 s p_c, b_c = -s |p_c|^2
(Proto-MAML, Triantafillou et al., arXiv 1903.03096, section 3.2). From these weights a task's inner
steps start; the prototypes are computed with the initial weights of the layers below, and the
meta-gradient goes through them. Nothing is learned of any one class, so one head serves every
number of classes, and renaming the classes renames the answers.

For the answers to be renamed exactly, everything meta-learned must treat all classes alike:

T of the head, [N, N] in the paper, must commute with every permutation of the classes, which
leaves T = a I + b 1 1^T. Softmax ignores what is added to all classes alike, and so does the
cross-entropy's gradient, which sums to 0 over them: b changes neither probabilities nor inner
steps. What is left of T is the number a.

The mask logit is one for all classes, and one draw of the mask serves them all. A logit, or a step
size of Meta-SGD, per weight is one for each feature and one for b.
"""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from maml_tnet.arguments import finite_number, true_or_false
from maml_tnet.layers import MASK_PER


@keras.utils.register_keras_serializable("maml_tnet")
class PrototypeHead(keras.layers.Layer):
    """The dense layer `y = a (x W + b)` whose W and b each task makes of its support set.

    Args:
        scale: s at the start; log s is meta-learned.
        use_transform: T-net: a is meta-learned; it starts at 1. Without it a is 1.
        mask_per: None, "unit" (one logit) or "weight" (one for each feature, and one for b).
        logit_init: initial zeta.

    Attributes:
        log_scale: log s, a number.
        transform: a, a number, or None.
        mask_logits: tuple of zeta: empty, ([1],) or ([features, 1], [1]).
        fast_weight_shapes: of [W, b], with 1 for the way, along which all parameters are shared.

    Raises:
        ValueError: a number out of range, an unknown `mask_per`, or a `use_transform` that is
            neither True nor False.
    """

    def __init__(
        self,
        *,
        scale: float = 1.0,
        use_transform: bool = False,
        mask_per: str | None = None,
        logit_init: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if mask_per is not None and mask_per not in MASK_PER:
            raise ValueError(f"mask_per must be None or one of {MASK_PER}, got {mask_per!r}")
        self.scale = finite_number("scale", scale, above=0)
        self.use_transform = true_or_false("use_transform", use_transform)
        self.mask_per = mask_per
        self.logit_init = finite_number("logit_init", logit_init)

    def build(self, input_shape: Sequence[Any]) -> None:
        """Create the parameters for features [examples, tasks, features]."""
        constant = keras.initializers.Constant
        self.fast_weight_shapes = [[input_shape[-1], 1], [1]]
        self.log_scale = self.add_weight(
            name="log_scale", shape=[], initializer=constant(math.log(self.scale))
        )
        self.transform = None
        if self.use_transform:
            self.transform = self.add_weight(name="transform", shape=[], initializer="ones")
        logits = {
            None: {},
            "unit": {"mask_logits": [1]},
            "weight": dict(
                zip(
                    ("kernel_mask_logits", "bias_mask_logits"), self.fast_weight_shapes, strict=True
                )
            ),
        }[self.mask_per]
        self.mask_logits = tuple(
            self.add_weight(name=name, shape=shape, initializer=constant(self.logit_init))
            for name, shape in logits.items()
        )
        self.built = True

    @property
    def initial_weights(self) -> list[tf.Variable]:
        """None: a task's W and b start from its support set."""
        return []

    def masks_of_weights(self, masks: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """One mask for W and one for b, from one mask per tensor of `mask_logits`."""
        return list(masks) * 2 if self.mask_per == "unit" else list(masks)

    def prototypes(self, features: tf.Tensor, labels: tf.Tensor) -> list[tf.Tensor]:
        """The W and b with which a task starts.

        Args:
            features: of the support set, [support, tasks, features].
            labels: one-hot, [support, tasks, way]; classes may have different numbers of examples.

        Returns:
            [W, b], [features, tasks, way] and [tasks, way].
        """
        counts = tf.reduce_sum(labels, axis=0)
        # No product, which a GPU would compute with 10 bits.
        each = features[..., tf.newaxis] * labels[..., tf.newaxis, :]
        sums = tf.transpose(tf.reduce_sum(each, axis=0), [1, 0, 2])
        means = tf.math.divide_no_nan(sums, counts)
        scale = tf.exp(self.log_scale)
        return [2 * scale * means, -scale * tf.reduce_sum(tf.square(means), axis=0)]

    def call(self, features: tf.Tensor, fast_weights: Sequence[tf.Tensor]) -> tf.Tensor:
        """[examples, tasks, features] -> logits [examples, tasks, way]."""
        kernel, bias = fast_weights
        logits = tf.einsum("ntf,ftc->ntc", features, kernel) + bias
        return logits if self.transform is None else self.transform * logits

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "scale": self.scale,
            "use_transform": self.use_transform,
            "mask_per": self.mask_per,
            "logit_init": self.logit_init,
        }
