import os
import warnings

import matplotlib
import matplotlib._pylab_helpers
import numpy as np
import pytest
from PIL import Image

from utils.reports.plots import Fit, plot_adaptation, plot_fits
from utils.reports.summary import summarize


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def share_near(path, color, tolerance=60):
    """Share of the pixels close to an RGB color."""
    return np.mean(np.abs(pixels(path) - color).max(axis=-1) < tolerance)


@pytest.fixture
def losses():
    decay = np.exp(-np.arange(11) / 2.0)
    return np.random.default_rng(0).gamma(2.0, size=(50, 11)) * decay


@pytest.fixture
def fit():
    x = np.random.default_rng(1).uniform(-5, 5, 200)
    return Fit(
        support_x=x[:10],
        support_y=np.sin(x[:10]),
        x=x,
        true_y=np.sin(x),
        predictions={10: 0.9 * np.sin(x), 0: np.zeros(200), 1: 0.5 * np.sin(x)},
    )


@pytest.mark.parametrize("log_scale", [True, False])
def test_adaptation_plot_shows_a_curve_for_every_label(tmp_path, losses, log_scale):
    one, two = tmp_path / "new" / "one.png", tmp_path / "new" / "two.png"
    first, second = summarize(losses), summarize(3 * losses)
    plot_adaptation(one, {"5-shot": first}, 1, "loss", log_scale=log_scale)
    plot_adaptation(two, {"5-shot": first, "10-shot": second}, 1, "loss", log_scale=log_scale)
    blue, orange = (31, 119, 180), (255, 127, 14)
    assert share_near(one, blue) > 1e-3
    assert share_near(one, orange) == 0
    assert share_near(two, orange) > 1e-3


def test_trained_step_is_marked_where_it_is(tmp_path, losses):
    columns = []
    for step in (1, 9):
        path = tmp_path / f"{step}.png"
        plot_adaptation(path, {"loss": summarize(losses)}, step, "loss")
        gray = np.abs(pixels(path) - 128).max(axis=-1) < 10
        columns.append(gray.sum(axis=0).argmax())
    assert columns[0] < columns[1]


@pytest.mark.parametrize("log_scale", [True, False])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("first_bad_step", [0, 6])
def test_diverged_values_are_drawn_without_a_warning(
    tmp_path, losses, log_scale, bad, first_bad_step
):
    losses[0, first_bad_step:] = bad
    path = tmp_path / "plot.png"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_adaptation(path, {"loss": summarize(losses)}, 1, "loss", log_scale=log_scale)
    assert pixels(path).shape[2] == 3


def test_one_task_is_drawn_without_an_interval(tmp_path, losses):
    path = tmp_path / "plot.png"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_adaptation(path, {"loss": summarize(losses[:1])}, 1, "loss", log_scale=True)
    assert share_near(path, (31, 119, 180)) > 1e-3


def test_interval_that_reaches_zero_keeps_the_log_axis_narrow(tmp_path):
    values = np.full([4, 11], 1e-3)
    values[0] = 1.0
    path = tmp_path / "plot.png"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_adaptation(path, {"loss": summarize(values)}, 1, "loss", log_scale=True)
    assert share_near(path, (31, 119, 180)) > 1e-3


def test_fits_show_every_task_side_by_side(tmp_path, fit):
    one, three = tmp_path / "one.png", tmp_path / "three.png"
    plot_fits(one, [fit])
    plot_fits(three, [fit, fit, fit])
    assert pixels(three).shape[1] == 3 * pixels(one).shape[1]
    crimson = (220, 20, 60)
    for part in np.split(pixels(three), 3, axis=1):
        assert (np.abs(part - crimson).max(axis=-1) < 60).any()


def test_fits_do_not_depend_on_the_order_of_the_points(tmp_path, fit):
    order = np.argsort(fit.x)
    ordered = Fit(
        fit.support_x,
        fit.support_y,
        fit.x[order],
        fit.true_y[order],
        {steps: y[order] for steps, y in fit.predictions.items()},
    )
    plot_fits(tmp_path / "a.png", [fit])
    plot_fits(tmp_path / "b.png", [ordered])
    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png"))


def test_a_failed_write_leaves_the_earlier_plot(tmp_path, fit, monkeypatch):
    path = tmp_path / "plot.png"
    plot_fits(path, [fit])
    earlier = path.read_bytes()

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        plot_fits(path, [fit, fit])
    assert path.read_bytes() == earlier
    assert list(tmp_path.iterdir()) == [path]


def test_plots_leave_no_trace_in_matplotlibs_global_state(tmp_path, losses, fit):
    settings = dict(matplotlib.rcParams)
    plot_adaptation(tmp_path / "a.png", {"loss": summarize(losses)}, 1, "loss")
    plot_fits(tmp_path / "b.png", [fit])
    assert dict(matplotlib.rcParams) == settings
    assert matplotlib._pylab_helpers.Gcf.get_all_fig_managers() == []


def test_a_users_own_style_does_not_count(tmp_path, losses):
    drawn = []
    for style in ({}, {"text.usetex": True, "figure.facecolor": "red", "savefig.dpi": 300}):
        with matplotlib.rc_context(style):
            plot_adaptation(tmp_path / "plot.png", {"test": summarize(losses)}, 1, "loss")
        drawn.append(pixels(tmp_path / "plot.png"))
    np.testing.assert_array_equal(*drawn)
