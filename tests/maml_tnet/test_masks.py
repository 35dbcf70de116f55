import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from maml_tnet.masks import (
    mask_noise,
    most_likely_masks,
    relaxed_mask,
    sample_masks,
    straight_through_mask,
    update_probability,
)

LOGITS = np.array([-4.0, -1.5, -0.3, 0.0, 0.4, 1.0, 3.0])
TASKS = 4000


def draw(logits, tasks=TASKS, temperature=1.0, seed=(1, 2)):
    return [m.numpy() for m in masks_of(logits, tasks, temperature, tf.constant(seed))]


def masks_of(logits, tasks, temperature, seed):
    return sample_masks(logits, mask_noise(logits, tasks, seed), temperature)


def test_update_probability_is_equation_9():
    np.testing.assert_allclose(
        update_probability(tf.constant(LOGITS)), np.exp(LOGITS) / (np.exp(LOGITS) + 1)
    )


def test_relaxed_mask_is_equation_11(rng):
    g1, g2 = rng.gumbel(size=[2, *LOGITS.shape])
    for temperature in (0.3, 1.0, 2.5):
        numerator = np.exp((LOGITS + g1) / temperature)
        np.testing.assert_allclose(
            relaxed_mask(tf.constant(LOGITS), tf.constant(g1 - g2), temperature),
            numerator / (numerator + np.exp(g2 / temperature)),
            rtol=1e-12,
        )


def test_relaxed_mask_becomes_the_binary_one_at_low_temperature(rng):
    noise = tf.constant(rng.logistic(size=LOGITS.shape))
    np.testing.assert_allclose(
        relaxed_mask(tf.constant(LOGITS), noise, 1e-3),
        straight_through_mask(tf.constant(LOGITS), noise, 1e-3),
        atol=1e-6,
    )


@pytest.mark.parametrize("temperature", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_masks_are_exactly_zero_or_one(temperature, dtype):
    (mask,) = draw([tf.constant(LOGITS, dtype)], temperature=temperature)
    assert mask.dtype == dtype
    assert set(np.unique(mask)) == {0.0, 1.0}


@pytest.mark.parametrize("temperature", [0.2, 1.0, 5.0])
def test_draws_follow_the_bernoulli_distribution_of_the_logits(temperature):
    (mask,) = draw([tf.constant(LOGITS, "float32")], temperature=temperature)
    assert mask.shape == (TASKS, len(LOGITS))
    for ones, p in zip(mask.sum(0), scipy.special.expit(LOGITS), strict=True):
        assert scipy.stats.binomtest(int(ones), TASKS, p).pvalue > 1e-4


def test_draws_of_units_layers_and_tasks_are_independent():
    first, second = draw([tf.zeros([2]), tf.zeros([3, 2])], tasks=TASKS)
    columns = [first[:, 0], first[:, 1], second[0, :, 0], second[1, :, 1], first[::-1, 0]]
    for i, a in enumerate(columns):
        for b in columns[:i]:
            table = [[np.sum((a == u) & (b == v)) for v in (0, 1)] for u in (0, 1)]
            assert scipy.stats.chi2_contingency(table).pvalue > 1e-4
    # The i-th task is independent of the one before it.
    table = [[np.sum((first[1:] == u) & (first[:-1] == v)) for v in (0, 1)] for u in (0, 1)]
    assert scipy.stats.chi2_contingency(table).pvalue > 1e-4


def test_noise_is_the_difference_of_two_gumbel_variables():
    logits = tf.zeros([1], "float64")
    with tf.GradientTape() as tape:
        tape.watch(logits)
        # Its derivative s(1 - s) at zeta = 0 tells the size of the noise that was drawn.
        (mask,) = masks_of([logits], TASKS, 1.0, tf.constant([3, 4]))
        column = tf.squeeze(mask, 1)
    slope = np.squeeze(tape.jacobian(column, logits))
    size = scipy.special.logit((1 + np.sqrt(1 - 4 * slope)) / 2)
    rng = np.random.default_rng(0)
    gumbels = rng.gumbel(size=[2, 20000])
    assert scipy.stats.ks_2samp(size, np.abs(gumbels[0] - gumbels[1])).pvalue > 1e-3


def test_gradient_is_that_of_the_relaxed_mask(rng):
    noise = rng.logistic(size=[50, len(LOGITS)])
    weight = rng.normal(size=noise.shape)
    logits = tf.constant(LOGITS)
    for temperature in (0.5, 1.0, 3.0):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = tf.reduce_sum(
                weight * straight_through_mask(logits, tf.constant(noise), temperature)
            )
        soft = scipy.special.expit((LOGITS + noise) / temperature)
        np.testing.assert_allclose(
            tape.gradient(value, logits), np.sum(weight * soft * (1 - soft), 0) / temperature
        )


def test_mask_has_the_task_axis_second_to_last():
    shapes = [[5], [3, 5], [3, 3, 2, 5]]
    masks = draw([tf.zeros(shape) for shape in shapes], tasks=4)
    assert [list(m.shape) for m in masks] == [[4, 5], [3, 4, 5], [3, 3, 2, 4, 5]]


def test_draw_is_a_function_of_the_seed():
    logits = [tf.zeros([40]), tf.zeros([40])]
    first, again, other = draw(logits, 5), draw(logits, 5), draw(logits, 5, seed=(1, 3))
    np.testing.assert_array_equal(first, again)
    assert np.any(np.not_equal(first, other))


def test_draw_is_the_same_under_xla():
    logits = [tf.zeros([40]), tf.zeros([3, 40])]
    compiled = tf.function(
        lambda seed: masks_of(logits, 6, 1.0, seed), jit_compile=True, autograph=False
    )(tf.constant([1, 2]))
    for a, b in zip(compiled, draw(logits, 6), strict=True):
        np.testing.assert_array_equal(a, b)


def test_masks_of_a_task_with_its_own_seed_do_not_depend_on_the_others():
    logits = [tf.zeros([40]), tf.zeros([3, 2, 40])]
    seeds = tf.constant([[9, 4], [9, 5], [8, 4]])
    together = masks_of(logits, 3, 1.0, seeds)
    assert [list(mask.shape) for mask in together] == [[3, 40], [3, 2, 3, 40]]
    for task in range(3):
        alone = masks_of(logits, 1, 1.0, seeds[task : task + 1])
        shared = masks_of(logits, 1, 1.0, seeds[task])
        for all_tasks, one, same in zip(together, alone, shared, strict=True):
            np.testing.assert_array_equal(all_tasks[..., task, :], one[..., 0, :])
            np.testing.assert_array_equal(one, same)
    assert all(np.any(m[..., 0, :] != m[..., i, :]) for m in together for i in (1, 2))


def test_number_of_tasks_can_be_a_tensor():
    graph = tf.function(
        lambda n: masks_of([tf.zeros([3])], n, 1.0, tf.constant([1, 2])), autograph=False
    )
    np.testing.assert_array_equal(graph(tf.constant(7))[0], draw([tf.zeros([3])], 7)[0])


def test_most_likely_mask_thresholds_the_probability_at_a_half():
    masks = most_likely_masks([tf.constant(LOGITS), tf.constant([[1.0], [-1.0]])])
    assert [list(m.shape) for m in masks] == [[1, 7], [2, 1, 1]]
    np.testing.assert_array_equal(masks[0][0], scipy.special.expit(LOGITS) >= 0.5)
    np.testing.assert_array_equal(np.ravel(masks[1]), [1.0, 0.0])
