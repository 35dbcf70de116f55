"""What the figures of the regression results share."""

from pathlib import Path

from matplotlib.figure import Figure

from utils.reports.plots import save_figure

COLORS = {"MAML": "C1", "MT-net": "C0"}


def save_both(canvas: Figure, path: Path) -> None:
    """Write `path`.png and `path`.pdf."""
    for suffix in (".png", ".pdf"):
        save_figure(canvas, path.with_name(path.name + suffix))
