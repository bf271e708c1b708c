"""Paint the curves and bars of an inspection into figures, for the page and the PNG files alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator, StrMethodFormatter

from holdfast._typing import Array
from holdfast.insight.analysis.results import (
    LEFT,
    RIGHT,
    AblatedComponent,
    Ablation,
    Attribution,
    GradientFlow,
    LayerTrace,
    MemoryCurve,
    Steps,
)
from holdfast.insight.render.captions import component_name
from holdfast.insight.render.label_text import clean, sign
from holdfast.reporting.plots import BLACK, BLUE, GREY, ORANGE, line_styles

LINES = 6
"""Maximum number of input rows drawn as lines; more are drawn as an image."""
_FLOOR = 1e-8
"""Shares below this are rounding and not drawn."""
_SMALLEST = 0.05
"""Smallest share that an influence axis always shows."""
_MARGIN = 0.2
"""Room for the number next to a bar, as a share of the length of all bars."""


def is_text(steps: Steps) -> bool:
    """Whether the labels are the whole input, so that values can color the text itself."""
    return steps.rows is None


def ticks(ax: Axes, steps: Steps, count: int, room: int) -> None:
    """Label the first ``count`` steps on an axis with room for this many letters."""
    shown = [sign(label) for label in steps.labels[:count]]
    longest = max((len(label) for label in shown), default=1)
    every = max(1, -(-count * (1 if longest == 1 else longest + 2) // room))
    places = range(0, count, every)
    ax.set_xticks(places, [shown[t] for t in places])
    ax.set_xlabel(f"{steps.kind}" + (f" (1 in {every} labeled)" if every > 1 else ""))


class _Plain(LogFormatter):
    """Format plain numbers at minor ticks with room for them."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def _logarithmic(ax: Axes) -> None:
    """Make a log axis with plain numbers, which need no typesetting."""
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_formatter(_Plain(minor_thresholds=(1.2, 0.6)))


def _drawn(shares: Array) -> Array:
    """Replace shares too small to draw with NaN."""
    return np.where(shares >= _FLOOR, shares, np.nan)


def saturation(figure: Figure, layers: Sequence[LayerTrace]) -> None:
    """Draw a panel for each gate, and a dot for each unit, after Karpathy et al. 2015."""
    gated = [(number, layer) for number, layer in enumerate(layers) if layer.gates]
    columns = max(len(layer.gates) for _, layer in gated)
    panels = figure.subplots(len(gated), columns, squeeze=False, sharex=True, sharey=True)
    for row, (number, layer) in zip(panels, gated, strict=True):
        for ax, gate in zip(row, layer.gates, strict=False):
            left, right = layer.saturation(gate)
            ax.plot([0, 1], [1, 0], color=GREY, lw=0.8, ls=":")
            dots = ax.scatter(left, right, s=14, color=BLUE, alpha=0.6, lw=0)
            dots.set_gid(f"dots-{number}-{gate}")
            ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal", title=f"{layer.name}\n{gate} gate")
        for ax in row[len(layer.gates) :]:
            ax.set_visible(False)
    figure.supxlabel(f"share of steps with the gate below {LEFT}", fontsize=9)
    figure.supylabel(f"share of steps with the gate above {RIGHT}", fontsize=9)


def memory_curve(ax: Axes, found: MemoryCurve) -> None:
    """Draw the influence of an input against its distance from the output."""
    ax.plot(found.lags, _drawn(found.jacobian), color=BLUE, label="Jacobian products")
    checked = _drawn(found.finite)
    ax.plot(found.checked, checked, "o", color=ORANGE, ms=5, mfc="none", label="finite differences")
    for level, steps, name in ((0.5, found.half_life, "half"), (0.05, found.reach, "5%")):
        if steps <= found.longest:
            ax.plot([0, steps, steps], [level, level, _FLOOR], color=GREY, lw=1, ls="--")
            ax.annotate(f" {name}: {steps:.3g} steps", (steps, level), va="bottom", color=BLACK)
    low = found.jacobian[found.jacobian >= _FLOOR].min(initial=_SMALLEST)
    _logarithmic(ax)
    ax.set(ylim=(low / 2, 2), xlabel="steps back", ylabel="influence (peak = 1)")
    ax.set_title("Influence of an input on the output")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="upper right")


def half_lives(ax: Axes, layers: Sequence[LayerTrace]) -> None:
    """Draw the half-lives of all units, from the shortest to the longest."""
    for layer, (line, color) in zip(layers, line_styles()):
        if layer.half_lives is not None:
            known = np.sort(layer.half_lives)
            share = np.arange(1, len(known) + 1) / len(known)
            ax.plot(share, np.where(np.isfinite(known), known, np.nan), line, color=color, label=layer.name)
    _logarithmic(ax)
    ax.set(xlabel="share of units", ylabel="half-life (steps)", title="Half-lives of the units")
    ax.legend(loc="upper left")


def gradients(ax: Axes, flows: Sequence[GradientFlow]) -> None:
    """Draw the norm of the gradient against the distance in time, with a line for each layer."""
    lowest = 1.0
    for flow, (line, color) in zip(flows, line_styles()):
        label = f"{flow.name}: {flow.kind}, {flow.factor:.3g} per step"
        ax.plot(_drawn(flow.state), line, color=color, label=label)
        ax.plot(_drawn(flow.hidden), color=color, lw=0.8, alpha=0.6)
        both = np.concatenate([flow.state, flow.hidden])
        lowest = both[both >= _FLOOR].min(initial=lowest)
    ax.axhline(1, color=GREY, lw=0.8, ls=":")
    _logarithmic(ax)
    ax.set(xlabel="distance in steps", ylabel="norm of the gradient\n(distance 0 = 1)")
    ax.set_ylim(bottom=lowest / 2)
    ax.set_title(
        "Gradient of a loss at the last step with respect to an earlier state (thin: hidden state only)"
    )
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="best")


def ablation(
    ax: Axes, cuts: Sequence[AblatedComponent], found: Ablation, layers: Sequence[LayerTrace]
) -> None:
    """Draw the change of the loss for each ablated component."""
    rises = [cut.loss - found.loss for cut in cuts]
    gaps = np.cumsum([a.kind != b.kind for a, b in zip([cuts[0], *cuts], cuts)]) * 0.6
    places = np.arange(len(cuts)) + gaps
    bars = ax.barh(places, rises, color=[BLUE if rise >= 0 else ORANGE for rise in rises])
    ax.bar_label(bars, [f"{rise:+.3g}" for rise in rises], padding=4)
    ax.set_yticks(places, [clean(component_name(cut, layers)) for cut in cuts])
    ax.invert_yaxis()
    ax.axvline(0, color=GREY, lw=0.8)
    ax.margins(y=0.02)
    low, high = min(0.0, *rises), max(0.0, *rises)
    room = _MARGIN * (high - low or 1.0)
    ax.set_xlim(low - (room if low < 0 else 0.0), high + room)
    ax.set(xlabel=f"change of the loss ({clean(found.unit)}); whole network: {found.loss:.4g}")


def attribution(axes: Sequence[Axes], found: Attribution, steps: Steps) -> None:
    """Draw integrated gradients and occlusion for each step, one below the other."""
    named = {"integrated gradients": found.integrated, "occlusion": found.occlusion}
    for ax, (name, values) in zip(axes, named.items(), strict=True):
        ax.bar(np.arange(len(values)), values, width=1, color=np.where(values >= 0, ORANGE, BLUE))
        ax.axhline(0, color=GREY, lw=0.8)
        ax.set(title=name, ylabel="change of the prediction", xlim=(-0.5, len(values) - 0.5))
        ticks(ax, steps, len(values), 100)


def input_rows(ax: Axes, steps: Steps, count: int) -> None:
    """Draw the input: a few rows as lines, many as an image."""
    assert steps.rows is not None
    rows: Array = steps.rows[:, :count]
    if len(rows) <= LINES:
        for name, row, (line, color) in zip(row_names(steps), rows, line_styles()):
            ax.plot(row, line, color=color, label=name)
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=LINES)
    else:
        ax.imshow(rows, aspect="auto", cmap="cividis", origin="lower", interpolation="nearest")
        names = row_names(steps)
        places = range(0, len(names), max(1, len(names) // 8))
        ax.set_yticks(places, [names[k] for k in places])
    ax.set_xlim(-0.5, count - 0.5)
    ticks(ax, steps, count, 100)


def row_names(steps: Steps) -> list[str]:
    """Return the names of the input rows, numbered if they have none."""
    given, count = steps.row_names, 0 if steps.rows is None else len(steps.rows)
    return [clean(given[k]) if k < len(given) else f"row {k + 1}" for k in range(count)]


def unit_and_feature(ax: Axes, values: Array, feature: Array, names: tuple[str, str]) -> None:
    """Draw a unit's activation and the feature that it tracks, each on its own axis."""
    ax.plot(values, color=BLUE, lw=1.2)
    ax.set_ylabel(names[0], color=BLUE)
    other = ax.twinx()
    other.spines["right"].set_visible(True)
    shape = "steps-mid" if set(feature[np.isfinite(feature)]) <= {0, 1} else "default"
    other.plot(feature, color=ORANGE, lw=1, ls="--", drawstyle=shape)
    other.set_ylabel(names[1], color=ORANGE)
    ax.set_xlim(-0.5, len(values) - 0.5)
