import numpy as np
import scipy.ndimage
import tensorflow as tf

from experiments.domains import BLUR, DOMAINS

KEYS = tf.constant([[3, 0], [8, 1]])


def test_every_change_is_what_its_name_says():
    x = np.random.default_rng(0).random([2, 3, 12, 11, 2], np.float32)
    found = {name: change(tf.constant(x), KEYS).numpy() for name, change in DOMAINS.items()}
    np.testing.assert_array_equal(found["as trained"], x)
    np.testing.assert_allclose(found["dim"], 0.4 * x, rtol=1e-6)
    np.testing.assert_allclose(found["inverted"], 1 - x)
    sigma = (0, 0, BLUR, BLUR, 0)
    smooth = scipy.ndimage.gaussian_filter(x, sigma, mode="constant", radius=(0, 0, 4, 4, 0))
    np.testing.assert_allclose(found["blurred"], smooth, atol=1e-5)
    noise = found["noisy"] - x
    assert abs(noise.std() - 0.3) < 0.02
    assert abs(noise.mean()) < 0.03


def test_a_tasks_noise_is_its_own():
    x = tf.zeros([2, 1, 8, 8, 1])
    noise = DOMAINS["noisy"](x, KEYS)
    np.testing.assert_array_equal(DOMAINS["noisy"](x[:1], KEYS[1:])[0], noise[1])
    assert np.any(noise[0] != noise[1])
