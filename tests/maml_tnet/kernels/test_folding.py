import numpy as np
import pytest
import tensorflow as tf

from maml_tnet.kernels.folding import fold, patch_statistics


@pytest.mark.parametrize(("size", "strides"), [(3, 1), (3, 2), (5, 2)])
def test_folded_kernel_equals_convolution_then_batch_normalization(rng, size, strides):
    tasks, examples, channels, features = 3, 5, 2, 6
    images = rng.uniform(size=[tasks, examples, 9, 8, channels])
    kernel = rng.normal(size=[size, size, channels, tasks, features])
    beta = rng.normal(size=features)

    statistics = patch_statistics(tf.constant(images), size, strides)
    folded, offset = fold(tf.constant(kernel), statistics, tf.constant(beta), 1e-3)
    for task in range(tasks):
        own = tf.constant(images[task])
        y = tf.nn.conv2d(own, tf.constant(kernel[..., task, :]), strides, "SAME").numpy()
        mean, variance = y.mean((0, 1, 2)), y.var((0, 1, 2))
        expected = (y - mean) / np.sqrt(variance + 1e-3) + beta
        fused = tf.nn.conv2d(own, folded[..., task, :], strides, "SAME") + offset[task]
        np.testing.assert_allclose(fused, expected, rtol=1e-9, atol=1e-10)


def test_patch_statistics_are_those_of_the_padded_patches(rng):
    images = rng.uniform(size=[2, 4, 5, 6, 2])
    mean, covariance = patch_statistics(tf.constant(images), 3, 1)
    padded = np.pad(images, [(0, 0), (0, 0), (1, 1), (1, 1), (0, 0)])
    for task in range(2):
        patches = np.array(
            [
                padded[task, n, i : i + 3, j : j + 3].ravel()
                for n in range(4)
                for i in range(5)
                for j in range(6)
            ]
        )
        np.testing.assert_allclose(mean[task], patches.mean(0), rtol=1e-12)
        np.testing.assert_allclose(
            covariance[task], np.cov(patches, rowvar=False, bias=True), rtol=1e-10, atol=1e-12
        )
