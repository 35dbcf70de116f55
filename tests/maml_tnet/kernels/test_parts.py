import numpy as np
import pytest
import tensorflow as tf

from maml_tnet import ConvNet, Regressor
from maml_tnet.kernels.parts import even_part, map_parts


@pytest.mark.parametrize(
    ("tasks", "most", "size"), [(32, 8, 8), (20, 8, 5), (4, 1, 1), (7, 3, 1), (6, 100, 6)]
)
def test_part_is_the_largest_divisor_that_is_allowed(tasks, most, size):
    assert even_part(tasks, most) == size


@pytest.mark.parametrize("part", [1, 2, 6, None])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
def test_parts_are_mapped_in_their_order(rng, part, compiled):
    x, y = rng.normal(size=[6, 3]), rng.normal(size=[6, 2, 2])
    size = part or 6

    def function(own):
        x, (y,) = own
        return [tf.reduce_sum(x), tf.reduce_mean(y, [1, 2])]

    def call(x, y):
        outputs = [tf.TensorSpec([], tf.float64), tf.TensorSpec([size], tf.float64)]
        return map_parts(function, (x, [y]), part, outputs)

    sums, means = (tf.function(call, autograph=False) if compiled else call)(
        tf.constant(x), tf.constant(y)
    )
    np.testing.assert_allclose(sums, x.reshape(-1, size, 3).sum((1, 2)))
    np.testing.assert_allclose(means, y.mean((1, 2)).reshape(-1, size))


@pytest.mark.parametrize(
    ("way", "shot", "shape", "filters", "max_pool", "tasks", "size"),
    [
        (5, 1, (28, 28, 1), 64, False, 32, 4),  # the paper's 5-way Omniglot
        (20, 1, (28, 28, 1), 64, False, 16, 1),
        (5, 5, (28, 28, 1), 64, False, 32, 1),
        (5, 1, (84, 84, 3), 32, True, 4, 1),  # miniImagenet
    ],
)
def test_part_keeps_the_first_layers_activations_in_a_megabyte(
    way, shot, shape, filters, max_pool, tasks, size
):
    network = ConvNet(shape, way, num_filters=filters, max_pool=max_pool)
    assert network.part_of(tasks, tf.zeros([tasks, way * shot, *shape])) == size
    side = shape[0] if max_pool else shape[0] // 2
    megabytes = way * shot * side**2 * filters * 4 / 2**20
    assert size == 1 or size * megabytes <= 1 < 2 * size * megabytes


def test_small_products_are_one_part():
    assert Regressor().part_of(7, tf.zeros([7, 10, 1])) == 7
