import numpy as np
import pytest
import tensorflow as tf

from maml_tnet.support_statistics import (
    standardize_queries,
    standardize_with_support,
    support_statistics,
)

EPSILON = 1e-3


def batch_norm(x):
    """Of [examples, height, width, tasks, features]."""
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return (x - mean) / np.sqrt(variance + EPSILON)


@pytest.mark.parametrize("support", [0, 1, 5])
def test_a_query_is_normalized_in_the_batch_of_the_support_set_and_itself(rng, support):
    x = rng.normal(3.0, rng.uniform(0.1, 2, size=[8, 1, 1, 2, 3]), size=[8, 4, 3, 2, 3])
    found = standardize_with_support(tf.constant(x), support, EPSILON).numpy()
    if support:
        np.testing.assert_allclose(found[:support], batch_norm(x[:support]), atol=1e-12)
    for query in range(support, 8):
        batch = np.concatenate([x[:support], x[query : query + 1]])
        np.testing.assert_allclose(found[query], batch_norm(batch)[-1], atol=1e-12)


def test_the_size_of_the_support_set_may_be_a_tensor(rng):
    x = tf.constant(rng.normal(size=[6, 2, 2, 1, 3]))
    compiled = tf.function(lambda n: standardize_with_support(x, n, EPSILON), autograph=False)
    for support in (0, 4):
        np.testing.assert_allclose(
            compiled(tf.constant(support)), standardize_with_support(x, support, EPSILON)
        )


def test_the_statistics_of_a_support_set_stand_for_it(rng):
    support, queries = rng.normal(size=[4, 3, 2, 2, 3]), rng.normal(2.0, size=[3, 3, 2, 2, 3])
    statistics = support_statistics(tf.constant(support))
    assert statistics.size == 4
    np.testing.assert_allclose(np.squeeze(statistics.mean), support.mean((0, 1, 2)))
    np.testing.assert_allclose(np.squeeze(statistics.variance), support.var((0, 1, 2)))
    found = standardize_queries(tf.constant(queries), statistics, EPSILON)
    for query, standardized in zip(queries, found, strict=True):
        batch = np.concatenate([support, query[np.newaxis]])
        np.testing.assert_allclose(standardized, batch_norm(batch)[-1], atol=1e-12)
