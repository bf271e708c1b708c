"""Attention as pictures: which source units each target unit looks at."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from matplotlib.axes import Axes

from holdfast.errors import UserError
from holdfast.reporting.plots import picture
from holdfast.tasks.translate.inference import Translation

CELL = 0.3
"""Inches of a unit."""
HIGHEST = 14
"""Inches of all translations together; more are left out, but for the first."""


def attention_plot(translations: Sequence[Translation], path: Path) -> Path:
    """A table of grey cells for each translation, below each other: source units from left, target units from above.

    Raises:
        UserError: all translations are empty.
    """
    there = [one for one in translations if one.weights is not None and one.target]
    if not there:
        raise UserError(
            "The attention of the first translations is drawn.",
            "They are empty.",
            "Give sentences that are not; where the model writes nothing, train it for longer.",
        )
    heights = [CELL * len(one.target) + 1.4 for one in there]
    fitting = max(1, sum(total <= HIGHEST for total in accumulate(heights)))
    drawn, heights = there[:fitting], heights[:fitting]
    width = CELL * max(len(one.source) for one in drawn) + 2.5
    with picture(path, (width, sum(heights)), {"axes.spines.top": True, "axes.spines.right": True}) as figure:
        axes = figure.subplots(len(drawn), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
        for ax, one in zip(axes[:, 0], drawn, strict=True):
            _paint(ax, one)
    return path


def _paint(ax: Axes, one: Translation) -> None:
    assert one.weights is not None
    ax.imshow(one.weights, cmap="Greys", vmin=0.0, vmax=1.0, aspect="equal")
    ax.set_xticks(range(len(one.source)), [_shown(name) for name in one.source], rotation=60, ha="left")
    ax.set_yticks(range(len(one.target)), [_shown(name) for name in one.target])
    ax.set(xlabel="read (dark: looked at while writing)", ylabel="written")
    ax.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)


def _shown(name: str) -> str:
    """A name without what matplotlib would take for a formula."""
    return name.replace("$", r"\$")
