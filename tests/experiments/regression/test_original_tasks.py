"""The original program's held-out sinusoids, against NumPy's global generator as it used it."""

import numpy as np
import pytest
from scipy import stats

from experiments.regression.original_tasks import losses_table, original_sinusoids


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


def test_the_public_codes_seeds_stand_beside_ours_with_the_difference_of_the_means():
    ours = [np.full(600, mean) for mean in (0.85, 0.86, 0.84)]
    text = losses_table({("MT-net", 5): ours, ("MAML", 5): ours})
    mt_net, maml = (line.strip("| ").split(" | ") for line in text.splitlines()[2:])
    public = (0.785, 0.872, 0.834, 0.837, 0.884)
    assert mt_net[3:6] == [
        "0.850, 0.860, 0.840", f"{np.mean(public):.3f}", ", ".join(map(str, public)),
    ]  # fmt: skip
    # Welch's t by its formula.
    squares = 0.01**2 / 3, np.var(public, ddof=1) / 5
    freedom = sum(squares) ** 2 / (squares[0] ** 2 / 2 + squares[1] ** 2 / 4)
    half = stats.t.ppf(0.975, freedom) * np.sqrt(sum(squares))
    assert mt_net[6] == f"{0.85 - np.mean(public):+.3f} ± {half:.3f}"
    assert maml[4:7] == ["0.99 ± 0.10", "", ""]
