import warnings

import numpy as np
import pytest
from PIL import Image

from experiments.regression_figures import (
    plot_fits_of_methods,
    plot_metric,
    plot_robustness,
    plot_update_probabilities,
)
from experiments.regression_tables import Figure
from experiments.update_metric import LayerStep
from utils.reports.paper import TABLE_2
from utils.reports.plots import Fit


def some_fit():
    x = np.linspace(-5, 5, 20)
    return Fit(x[:3], np.sin(x[:3]), x, np.sin(x), {0: 0 * x, 1: 0.5 * np.sin(x), 10: np.sin(x)})


def some_step():
    rng = np.random.default_rng(0)
    T, x, g = rng.normal(size=(4, 4)), rng.normal(size=(10, 3)), rng.normal(size=(10, 4))
    step = LayerStep(T, np.array([1.0, 0, 1, 1]), x, g, 0.1, np.zeros([10, 4]))
    return LayerStep(T, step.mask, x, g, 0.1, step.predicted)


def figures(**changes):
    return {key: Figure(1.0, 0.1, 1.0, 0, (1.0,)) for key in TABLE_2} | {
        ("MAML", 10.0): Figure(**({"mean": 170.0, "ci95": 20.0, "median": 1.0, "diverged": 0,
                                   "seed_means": ()} | changes)),
    }  # fmt: skip


PLOTS = {
    "robustness": lambda path: plot_robustness(path, figures()),
    "robustness_diverged": lambda path: plot_robustness(
        path, figures(mean=np.nan, ci95=np.nan, diverged=3)
    ),
    "robustness_huge": lambda path: plot_robustness(path, figures(mean=np.inf, ci95=np.nan)),
    "figure4": lambda path: plot_update_probabilities(path, {0: [0.1, 0.2], 1: [0.3, 0.4]}),
    "fits": lambda path: plot_fits_of_methods(path, dict.fromkeys(("A", "B"), [some_fit()] * 2)),
    "metric": lambda path: plot_metric(path, [some_step()] * 2),
}  # fmt: skip


@pytest.mark.parametrize("name", PLOTS)
def test_every_figure_is_written_as_png_and_pdf_without_a_warning(tmp_path, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PLOTS[name](tmp_path / "new" / name)
    with Image.open(tmp_path / "new" / f"{name}.png") as image:
        assert np.asarray(image.convert("L")).std() > 5
    assert (tmp_path / "new" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert len(list((tmp_path / "new").iterdir())) == 2
