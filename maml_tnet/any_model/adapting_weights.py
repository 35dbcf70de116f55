"""What is meta-learned about the weights that adapt: T, the mask logits and the step sizes."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from maml_tnet.any_model.unit_groups import Adapts, Weight, adapting_groups
from maml_tnet.layers import MASK_PER
from maml_tnet.masks import mask_noise, straight_through_mask

# Offset of the first word of a seed, so that no two inner steps share a random stream.
STEP_STREAM = 10_000_019

Values = Mapping[int, tf.Tensor]
"""The value of every trainable variable of a learner, by the variable's id."""
Noise = Sequence[Sequence[tf.Tensor]]
"""What decides masks: for every draw (one for all inner steps, or one a step) one tensor for every
tensor of logits; empty where no mask is drawn."""


class AdaptingWeights(keras.layers.Layer):
    """T, zeta and alpha of the weights of a model that inner steps change.

    Args:
        model: with these weights.
        adapt: which layers adapt, see `unit_groups.adapting_groups`.
        update_lr: alpha; Meta-SGD's initial step sizes.
        meta_sgd: a learned step size for every weight.
        transform: a T for every group of weights that can have one; starts as the identity.
        mask: None, "unit" or "weight".
        logit_init: initial mask logits.
        temperature: of the masks, T of equation (11).

    Attributes:
        groups: W and b of the layers that adapt, from input to output.
        weights_of_groups: the same without their grouping.

    Raises:
        ValueError: an unknown word, nothing adapts, or a weight with a constraint is to have a T.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        adapt: Adapts,
        update_lr: float,
        meta_sgd: bool,
        transform: bool,
        mask: str | None,
        logit_init: float,
        temperature: float,
    ):
        if mask is not None and mask not in MASK_PER:
            raise ValueError(f"mask must be None or one of {MASK_PER}, got {mask!r}")
        groups = adapting_groups(model, adapt)
        super().__init__(name="adapting_weights", dtype=groups[0].weights[0].variable.dtype)
        self.update_lr = update_lr
        self.mask = mask
        self.temperature = temperature
        self.groups = tuple(groups)
        self.weights_of_groups = tuple(w for group in groups for w in group.weights)
        self.transforms = {
            i: self._add(
                f"{group.name}_transform", [group.units, group.units], "identity", group.weights
            )
            for i, group in enumerate(groups)
            if transform and group.takes_transform
        }
        for i in self.transforms:
            for weight in groups[i].weights:
                if weight.variable.constraint is not None:
                    raise ValueError(
                        f"{weight.variable.path} has a constraint, which T would break: leave the "
                        "constraint out, or take transform=False"
                    )
        masked: dict[str | None, list[tuple[list[int], list[Weight]]]] = {
            None: [],
            "unit": [([group.units], group.weights) for group in groups],
            "weight": [(list(w.variable.shape) or [1], [w]) for w in self.weights_of_groups],
        }
        start = keras.initializers.Constant(logit_init)
        self.mask_logits = [
            self._add(f"mask_logits{i}", shape, start, weights)
            for i, (shape, weights) in enumerate(masked[mask])
        ]
        start = keras.initializers.Constant(update_lr)
        self.step_size_variables = [
            self._add(f"step_size{i}", w.variable.shape, start, [w])
            for i, w in enumerate(self.weights_of_groups)
            if meta_sgd
        ]
        self.built = True

    def _add(
        self, name: str, shape: Sequence[int], initializer: Any, weights: Sequence[Weight]
    ) -> Any:
        """A variable of the number type of the weights that it is for."""
        dtype = weights[0].variable.dtype
        return self.add_weight(name=name, shape=shape, initializer=initializer, dtype=dtype)

    def initial(self, values: Values) -> list[tf.Tensor]:
        """W and b that every task starts from."""
        return [values[id(weight.variable)] for weight in self.weights_of_groups]

    def constrained(self, fast_weights: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """W and b with their layers' constraints, as Keras applies them after a step."""
        constraints = [weight.variable.constraint for weight in self.weights_of_groups]
        pairs = zip(fast_weights, constraints, strict=True)
        return [w if constraint is None else constraint(w) for w, constraint in pairs]

    def step_sizes(self, values: Values) -> list[Any]:
        """Alpha for every weight: a number, or Meta-SGD's tensor."""
        if not self.step_size_variables:
            return [self.update_lr] * len(self.weights_of_groups)
        return [values[id(alpha)] for alpha in self.step_size_variables]

    def transformed(
        self, values: Values, fast_weights: Sequence[tf.Tensor]
    ) -> list[tuple[Any, tf.Tensor]]:
        """What layers compute with: every variable with W T, or with W where there is no T."""
        remaining = iter(fast_weights)
        pairs = []
        for i, group in enumerate(self.groups):
            for weight in group.weights:
                value = next(remaining)
                if i in self.transforms:
                    value = weight.transformed(value, values[id(self.transforms[i])])
                pairs.append((weight.variable, value))
        return pairs

    def noise(self, tasks: int | tf.Tensor, key: tf.Tensor, steps: int) -> list[list[tf.Tensor]]:
        """Draw what decides the masks of `tasks` tasks and `steps` steps by a key, int32 [2].

        Masks per weight are drawn anew for every inner step, as in the original.
        """
        draws = (steps if self.mask == "weight" else 1) if self.mask_logits else 0
        offsets = [tf.constant([i * STEP_STREAM, 0]) for i in range(draws)]
        return [mask_noise(self.mask_logits, tasks, key + offset) for offset in offsets]

    def masks(self, values: Values, steps: int, noise: Noise) -> list[list[Any]]:
        """M for every inner step and weight: drawn, or without noise at its mode; 1 without masks.

        Args:
            values: of the variables.
            steps: number of inner steps.
            noise: of one task.
        """
        if not self.mask_logits:
            return [[1] * len(self.weights_of_groups)] * steps
        logits = [values[id(variable)] for variable in self.mask_logits]
        if not noise:
            return [self._spread([tf.cast(zeta >= 0, zeta.dtype) for zeta in logits])] * steps
        masks = []
        for draw in noise:
            pairs = [(zeta, tf.cast(u, zeta.dtype)) for zeta, u in zip(logits, draw, strict=True)]
            masks.append(self._spread([straight_through_mask(*p, self.temperature) for p in pairs]))
        return masks if len(masks) == steps else masks * steps

    def _spread(self, masks: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """A mask for every weight, of one for every tensor of logits."""
        if self.mask == "weight":
            pairs = zip(masks, self.weights_of_groups, strict=True)
            return [tf.reshape(mask, weight.variable.shape) for mask, weight in pairs]
        groups = zip(masks, self.groups, strict=True)
        return [weight.spread(mask) for mask, group in groups for weight in group.weights]
