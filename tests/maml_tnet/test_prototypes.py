import numpy as np
import pytest
import tensorflow as tf

from maml_tnet.prototypes import PrototypeHead

FEATURES = 4


def built(**arguments):
    head = PrototypeHead(dtype="float64", **arguments)
    head.build([None, None, FEATURES])
    return head


def support_set(rng, counts):
    """Features [examples, 2 tasks, FEATURES] and one-hot labels, so many of every class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    labels = np.stack([rng.permutation(labels) for _ in range(2)], axis=1)
    return rng.normal(size=[sum(counts), 2, FEATURES]), np.eye(len(counts))[labels]


@pytest.mark.parametrize("counts", [[1, 1], [2, 5, 1], [3] * 7])
def test_it_starts_as_softmax_over_squared_distances_to_the_prototypes(rng, counts):
    head = built(scale=0.7, use_transform=True)
    features, labels = support_set(rng, counts)
    queries = rng.normal(size=[6, 2, FEATURES])
    weights = head.prototypes(tf.constant(features), tf.constant(labels))
    assert [w.shape for w in weights] == [(FEATURES, 2, len(counts)), (2, len(counts))]
    found = tf.nn.softmax(head(tf.constant(queries), weights))
    for task in range(2):
        of_class = labels[:, task].argmax(1)
        means = [features[of_class == c, task].mean(0) for c in range(len(counts))]
        distances = ((queries[:, task, np.newaxis] - np.stack(means)) ** 2).sum(-1)
        expected = tf.nn.softmax(-0.7 * distances)
        np.testing.assert_allclose(found[:, task], expected, rtol=1e-6)


def test_the_transform_is_all_of_an_equivariant_one_that_softmax_sees(rng):
    """T = a I + b 1 1^T: probabilities and the gradient for W and b are those of a alone."""
    head = built(use_transform=True)
    head.transform.assign(1.3)
    features, labels = map(tf.constant, support_set(rng, [2, 1, 2]))
    full = 1.3 * np.eye(3) + 0.8 * np.ones([3, 3])
    found = []
    for with_full in (False, True):
        weights = head.prototypes(features, labels)
        with tf.GradientTape() as tape:
            tape.watch(weights)
            kernel, bias = weights
            plain = tf.einsum("ntf,ftc->ntc", features, kernel) + bias
            logits = tf.matmul(plain, full) if with_full else head(features, weights)
            loss = tf.reduce_sum(tf.nn.softmax_cross_entropy_with_logits(labels, logits))
        found.append([tf.nn.softmax(logits), *tape.gradient(loss, weights)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize(
    ("mask_per", "logits", "masks"),
    [(None, [], []), ("unit", [[1]], [[1], [1]]), ("weight", [[4, 1], [1]], [[4, 1], [1]])],
)
def test_classes_share_their_mask_logits(mask_per, logits, masks):
    head = built(mask_per=mask_per, logit_init=0.5)
    assert [list(z.shape) for z in head.mask_logits] == logits
    assert all(np.all(z.numpy() == 0.5) for z in head.mask_logits)
    assert [list(m.shape) for m in head.masks_of_weights(head.mask_logits)] == masks
    assert [list(shape) for shape in head.fast_weight_shapes] == [[FEATURES, 1], [1]]
    assert head.initial_weights == []


def test_configuration_round_trip():
    head = built(scale=3.0, use_transform=True, mask_per="unit", logit_init=0.25)
    copy = PrototypeHead.from_config(head.get_config())
    assert copy.get_config() == head.get_config()
    copy.build([None, None, FEATURES])
    assert float(tf.exp(copy.log_scale)) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 0.0}, r"scale must be a finite number above 0, got 0\.0"),
        ({"mask_per": "class"}, "mask_per must be None or one of .*, got 'class'"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        PrototypeHead(**arguments)
