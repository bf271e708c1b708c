"""Plots of a classifier's results: confusion of classes, and calibration of probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from holdfast._typing import Array
from holdfast.reporting.plots import BLUE, GREY, saved_panel
from holdfast.tasks.classify.metrics import Reliability

MOST = 30
"""Most classes of a confusion matrix."""


def confusion(counts: Array, classes: Sequence[str], where: str, path: Path) -> Path:
    """Plot the matrix [K, K] of true (row) and predicted classes; shades are shares of a row."""
    side = 2.2 + 0.42 * len(classes)
    with saved_panel(path, (side, side)) as ax:
        shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (i, j), count in np.ndenumerate(counts):
            color = "white" if shares[i, j] > 0.5 else "black"
            ax.text(j, i, str(count), ha="center", va="center", color=color)
        ax.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
        ax.set_yticks(range(len(classes)), classes)
        ax.set(xlabel="prediction", ylabel="label", title=f"Classes of {where}")
    return path


def calibration(found: Reliability, where: str, path: Path) -> Path:
    """Plot accuracy against confidence: calibrated probabilities are on the diagonal."""
    with saved_panel(path, (4.2, 4.2)) as ax:
        some = found.count > 0
        ax.plot([0, 1], [0, 1], color=GREY, ls="--", label="calibrated")
        sizes = 10 + 200 * found.count[some] / found.count.sum()
        ax.scatter(found.confidence[some], found.right[some], s=sizes, color=BLUE, label="examples of a bin")
        ax.set(xlabel="probability", ylabel="accuracy", title=f"Calibration on {where}")
        ax.legend()
    return path
