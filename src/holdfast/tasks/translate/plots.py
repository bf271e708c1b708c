"""Plots of attention: which source tokens the network attends to for each target token."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from matplotlib.axes import Axes

from holdfast.errors import UserError
from holdfast.reporting.plots import saved_figure
from holdfast.tasks.translate.inference import Translation

CELL = 0.3
"""Inches of a token."""
HIGHEST = 14
"""Inches of all translations together; more are left out, except the first."""


def attention_plot(translations: Sequence[Translation], path: Path) -> Path:
    """Plot a table of grey cells for each translation: source tokens across, target tokens down.

    Raises:
        UserError: all translations are empty.
    """
    there = [one for one in translations if one.weights is not None and one.target]
    if not there:
        raise UserError(
            "A plot of attention must have a translation that is not empty.",
            "The first ones are empty.",
            "Give other sentences, or train for longer.",
        )
    heights = [CELL * len(one.target) + 1.4 for one in there]
    fitting = max(1, sum(total <= HIGHEST for total in accumulate(heights)))
    shown, heights = there[:fitting], heights[:fitting]
    width = CELL * max(len(one.source) for one in shown) + 2.5
    with saved_figure(
        path, (width, sum(heights)), {"axes.spines.top": True, "axes.spines.right": True}
    ) as figure:
        axes = figure.subplots(len(shown), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
        for ax, one in zip(axes[:, 0], shown, strict=True):
            _paint(ax, one)
    return path


def _paint(ax: Axes, one: Translation) -> None:
    assert one.weights is not None
    ax.imshow(one.weights, cmap="Greys", vmin=0.0, vmax=1.0, aspect="equal")
    ax.set_xticks(range(len(one.source)), [_escaped(name) for name in one.source], rotation=60, ha="left")
    ax.set_yticks(range(len(one.target)), [_escaped(name) for name in one.target])
    ax.set(xlabel="source (dark: attended to)", ylabel="translation")
    ax.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)


def _escaped(name: str) -> str:
    """Return a name without what matplotlib would take for a formula."""
    return name.replace("$", r"\$")
