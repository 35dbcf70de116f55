import numpy as np
import pytest
import tensorflow as tf

from data_generators.images.device_images import DeviceImages

PLACES = np.array([[3, 0, 3], [1, 4, 2]], np.int32)


@pytest.mark.parametrize("shape", [(4, 6), (3, 5, 3), (1,)])  # 24 bytes, 45 and 1
def test_gathered_images_are_those_that_were_read(rng_images, shape):
    images, reads = rng_images(shape)
    source = DeviceImages(lambda: reads.append(1) or images, shape)
    calls = (
        source.gather,
        tf.function(source.gather, autograph=False),
        tf.function(source.gather, jit_compile=True, autograph=False),
    )
    for gather in calls:
        found = gather(tf.constant(PLACES))
        assert found.dtype == tf.uint8
        np.testing.assert_array_equal(found, images[PLACES])
    # Eagerly a device has another name than in a graph, where none is named.
    assert len(reads) <= 2


@pytest.fixture
def rng_images():
    rng = np.random.default_rng(0)
    return lambda shape: (rng.integers(0, 256, [5, *shape], np.uint8), [])
