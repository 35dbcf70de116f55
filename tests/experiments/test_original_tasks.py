"""The original program's held-out sinusoids, against NumPy's global generator as it used it."""

import numpy as np
import pytest

from experiments.original_tasks import original_sinusoids


@pytest.mark.parametrize("shot", [5, 10])
def test_tasks_are_those_of_the_original_turned_about_the_origin(shot):
    episode = original_sinusoids(shot)
    state = np.random.get_state()
    np.random.seed(1)
    try:
        for task in range(3):
            A, b, w = (np.random.uniform(*r, [1]) for r in ([0.1, 5.0], [0, np.pi], [0.8, 1.2]))
            x = np.random.uniform(-5.0, 5.0, [shot + 10, 1])
            np.testing.assert_allclose(episode.support_x[task], -x[:shot], rtol=1e-6)
            np.testing.assert_allclose(episode.query_x[task], -x[shot:], rtol=1e-6)
            # As equation (25) has it: y = A sin(w x + b).
            np.testing.assert_allclose(
                episode.query_y[task], A * np.sin(w * -x[shot:] + b), rtol=1e-4, atol=1e-5
            )
    finally:
        np.random.set_state(state)
    assert episode.support_x.shape == episode.support_y.shape == (600, shot, 1)
    assert episode.query_x.shape == episode.query_y.shape == (600, 10, 1)
