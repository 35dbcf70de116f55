import numpy as np
import scipy.ndimage
import tensorflow as tf

from data_generators import ImageInput
from experiments.single_pictures.domains import BLUR, DOMAINS, seen_by

KEYS = np.array([[3, 0], [8, 1]], np.int32)


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


def test_another_data_sets_pictures_are_seen_as_a_photograph_of_them_would_be():
    drawings, photographs = ImageInput(28, grey=True, ink_is_one=True), ImageInput(84, False, False)
    ink = np.zeros([2, 3, 28, 28, 1], np.float32)
    ink[1, 2] = 1
    seen = seen_by(photographs, drawings)(tf.constant(ink), KEYS).numpy()
    assert seen.shape == (2, 3, 84, 84, 3)
    np.testing.assert_array_equal(seen, np.broadcast_to(1 - ink[:, :, :1, :1], seen.shape))

    red = np.zeros([2, 3, 84, 84, 3], np.float32)
    red[..., 0] = 1
    seen = seen_by(drawings, photographs)(tf.constant(red), KEYS).numpy()
    np.testing.assert_allclose(seen, np.full([2, 3, 28, 28, 1], 1 - 76 / 255), atol=1e-6)
