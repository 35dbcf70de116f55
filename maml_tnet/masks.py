"""The binary masks M that decide which units a task updates (section 3.2, equations 9 to 11).

A mask has the shape of its logits with the task axis put in second to last place, which is where
every tensor of this package carries it: logits [units] give a mask [tasks, units] that broadcasts
over a task's kernel [..., tasks, units] and bias [tasks, units].
"""

from collections.abc import Sequence

import tensorflow as tf


def update_probability(logits: tf.Tensor) -> tf.Tensor:
    """P(M = 1) = exp(zeta) / (exp(zeta) + 1) of equation (9), elementwise.

    The formula in section 6.3 of the paper, exp(-l) / (exp(-l) + 1), is the complement: the
    probability that a unit is NOT updated.
    """
    return tf.sigmoid(logits)


def relaxed_mask(logits: tf.Tensor, noise: tf.Tensor, temperature: float) -> tf.Tensor:
    """Equation (11): the Gumbel-softmax sample, in (0, 1).

    Args:
        logits: zeta, broadcastable to `noise`.
        noise: draws of g1 - g2, the difference of the two Gumbel variables of equation (10), which
            is a standard logistic variable.
        temperature: T of equation (11), > 0.
    """
    return tf.sigmoid((logits + noise) / temperature)


def straight_through_mask(logits: tf.Tensor, noise: tf.Tensor, temperature: float) -> tf.Tensor:
    """A 0/1 mask whose gradient is that of `relaxed_mask`. Same arguments."""
    soft = relaxed_mask(logits, noise, temperature)
    hard = tf.cast(logits + noise > 0, soft.dtype)
    return soft + tf.stop_gradient(hard - soft)


def sample_masks(
    logits: Sequence[tf.Tensor], noise: Sequence[tf.Tensor], temperature: float
) -> list[tf.Tensor]:
    """Draw one mask per task for every tensor of logits.

    Args:
        logits: mask logits, each [..., units].
        noise: of `mask_noise`, each [tasks, ..., units].
        temperature: T of equation (11), > 0.

    Returns:
        masks [..., tasks, units], hard in value, relaxed in gradient.
    """
    return [
        _task_axis_last(straight_through_mask(logit, draw, temperature))
        for logit, draw in zip(logits, noise, strict=True)
    ]


def mask_noise(
    logits: Sequence[tf.Tensor], tasks: int | tf.Tensor, seed: tf.Tensor
) -> list[tf.Tensor]:
    """Draw what makes masks random: standard logistic variables, one draw for all layers.

    Args:
        logits: mask logits, each [..., units].
        tasks: number of tasks.
        seed: int32 [2], the key of the stateless draw for all tasks, or [tasks, 2], one for every
            task, whose masks then do not depend on the others.

    Returns:
        [tasks, ..., units] for each tensor of logits.
    """
    shapes = [[*logit.shape] for logit in logits]
    sizes = [logit.shape.num_elements() for logit in logits]
    dtype = tf.as_dtype(logits[0].dtype)
    if seed.shape.rank == 1:
        # All layers' draws of a meta-batch lie one after the other, the task axis second to last.
        parts = tf.split(
            _logistic([tasks * sum(sizes)], seed, dtype), [tasks * size for size in sizes]
        )
        return [
            _task_axis_first(tf.reshape(part, [*shape[:-1], tasks, shape[-1]]))
            for part, shape in zip(parts, shapes, strict=True)
        ]
    draws = tf.map_fn(
        lambda key: _logistic([sum(sizes)], key, dtype), seed, fn_output_signature=dtype
    )
    return [
        tf.reshape(part, [tasks, *shape])
        for part, shape in zip(tf.split(draws, sizes, axis=1), shapes, strict=True)
    ]


def _task_axis_first(x: tf.Tensor) -> tf.Tensor:
    """[..., tasks, units] -> [tasks, ..., units]."""
    rank = x.shape.rank
    return x if rank == 2 else tf.transpose(x, [rank - 2, *range(rank - 2), rank - 1])


def _task_axis_last(x: tf.Tensor) -> tf.Tensor:
    """[tasks, ..., units] -> [..., tasks, units]."""
    rank = x.shape.rank
    return x if rank == 2 else tf.transpose(x, [*range(1, rank - 1), 0, rank - 1])


def _logistic(shape: Sequence[int | tf.Tensor], seed: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Standard logistic variables."""
    # Integers, as XLA makes other floats of the same random bits than TensorFlow does.
    bits = tf.random.stateless_uniform(
        shape, seed, minval=None, maxval=None, dtype=tf.int32, alg="philox"
    )
    uniform = (tf.cast(tf.bitwise.bitwise_and(bits, 0x7FFFFF), dtype) + 0.5) * 2.0**-23
    return tf.math.log(uniform) - tf.math.log1p(-uniform)


def most_likely_masks(logits: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Threshold instead of drawing: M = 1 where P(M = 1) >= 1/2. Shapes [..., 1, units]."""
    return [tf.cast(tf.expand_dims(logit, -2) >= 0, tf.as_dtype(logit.dtype)) for logit in logits]
