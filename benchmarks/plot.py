"""The plot of the cost against tasks, way, shot and inner steps."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

PANELS = (("milliseconds", "ms per meta-iteration"), ("peak_mb", "peak resident memory, MB"))


def scaling_plot(scaling: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Write a .png: time above, memory below, one column a quantity.

    Args:
        scaling: quantity -> points with "value", "milliseconds" and "peak_mb" by label.
        path: to write.
    """
    figure, axes = plt.subplots(
        len(PANELS), len(scaling), figsize=(4 * len(scaling), 6), squeeze=False, sharey="row"
    )
    for column, (quantity, points) in enumerate(scaling.items()):
        labels = dict.fromkeys(label for point in points for label in point["milliseconds"])
        for row, (measure, title) in enumerate(PANELS):
            axis = axes[row][column]
            for label in labels:
                known = [point for point in points if label in point[measure]]
                axis.plot(
                    [point["value"] for point in known],
                    [point[measure][label] for point in known],
                    marker="o",
                    label=label,
                )
            axis.grid(alpha=0.3)
            axis.set_xlabel(quantity.replace("_", " "))
            if column == 0:
                axis.set_ylabel(title)
    # Last, since a limit that is set stops the axes from growing with what is drawn later.
    for axis in axes.flat:
        axis.set_xlim(left=0)
        axis.set_ylim(bottom=0)
    axes[0][0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
