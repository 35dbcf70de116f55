import numpy as np
import pytest

from experiments.single_pictures.calibration import (
    expected_calibration_error,
    fitted_temperature,
    margins,
    strangers_below,
    strangers_kept,
    tempered,
)


def softmax(logits):
    odds = np.exp(logits)
    return odds / odds.sum(axis=1, keepdims=True)


def test_calibration_error_of_answers_that_are_as_often_right_as_they_say():
    # 10 answers of 0.8 with 8 right, 10 of 0.55 with 5 right: (0 * 10 + 0.05 * 10) / 20.
    p = np.array([[0.8, 0.2]] * 10 + [[0.45, 0.55]] * 10)
    labels = np.array([0] * 8 + [1] * 2 + [1] * 5 + [0] * 5)
    assert expected_calibration_error(p, labels) == pytest.approx(0.025)
    assert expected_calibration_error(np.array([[1.0, 0.0]]), np.array([1])) == 1


def test_a_temperature_divides_the_logits():
    logits = np.random.default_rng(0).normal(size=[5, 4])
    np.testing.assert_allclose(tempered(softmax(logits), 2.5), softmax(logits / 2.5))
    assert np.all(np.isfinite(tempered(np.array([[1.0, 0.0]]), 0.1)))


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_the_temperature_of_logits_that_are_so_many_times_too_large_is_found(scale):
    rng = np.random.default_rng(1)
    sets = []
    for way in (3, 10):
        p = softmax(rng.normal(size=[20_000, way]))
        labels = (p.cumsum(axis=1) > rng.random([len(p), 1])).argmax(axis=1)
        sets.append((tempered(p, 1 / scale), labels))
    assert fitted_temperature(sets) == pytest.approx(scale, rel=0.03)


def test_margins_are_of_the_two_likeliest_classes():
    p = np.array([[0.2, 0.7, 0.1], [0.5, 0.0, 0.5]])
    np.testing.assert_allclose(margins(p), [0.5, 0])


def test_how_strangers_compare_with_the_known():
    known, strangers = np.arange(1, 101) / 100, np.array([0.0, 0.5, 0.5, 1.0])
    pairs = [(s < k) + (s == k) / 2 for k in known for s in strangers]
    assert strangers_below(known, strangers) == pytest.approx(np.mean(pairs))
    assert strangers_kept(known, strangers) == 0.75
