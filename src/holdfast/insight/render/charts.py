"""The curves and bars of an inspection, each painted into a figure; pictures and the page save the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

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
from holdfast.insight.render.captions import cut_name
from holdfast.insight.render.label_text import clean, sign
from holdfast.reporting.plots import BLACK, BLUE, GREY, ORANGE

LINES = 6
"""Rows of what was read that are drawn as lines; more are drawn as an image."""
FLOOR = 1e-8
"""Shares below this are not drawn: they are rounding."""
_SMALLEST = 0.05
"""Share that an axis of influence shows at least."""
_MARGIN = 0.2
"""Room for the number beside a bar, as a share of the length of all bars."""
UNITS = 12
"""Units whose ablation is drawn."""


def shared(steps: Steps) -> bool:
    """The labels say all, so that a picture can be a text."""
    return steps.rows is None


def ticks(ax: Axes, steps: Steps, count: int, room: int) -> None:
    """Labels of the first ``count`` steps below an axis that has room for so many letters."""
    shown = [sign(label) for label in steps.labels[:count]]
    longest = max((len(label) for label in shown), default=1)
    every = max(1, -(-count * (1 if longest == 1 else longest + 2) // room))
    places = range(0, count, every)
    ax.set_xticks(places, [shown[t] for t in places])
    ax.set_xlabel(f"{steps.kind}" + (f" (one in {every} is labelled)" if every > 1 else ""))


class _Plain(LogFormatter):
    """Plain numbers at those minor ticks that have room for them."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def _logarithmic(ax: Axes) -> None:
    """A log axis with plain numbers, which need no typesetting."""
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_formatter(_Plain(minor_thresholds=(1.2, 0.6)))


def _drawn(shares: Array) -> Array:
    """Shares as far as they are drawn; NaN below."""
    return np.where(shares >= FLOOR, shares, np.nan)


def saturation(figure: Figure, layers: Sequence[LayerTrace]) -> None:
    """A panel for each gate of each part, a dot for each unit, after Karpathy et al. 2015."""
    gated = [(number, layer) for number, layer in enumerate(layers) if layer.gates]
    columns = max(len(layer.gates) for _, layer in gated)
    panels = figure.subplots(len(gated), columns, squeeze=False, sharex=True, sharey=True)
    for row, (number, layer) in zip(panels, gated, strict=True):
        for ax, gate in zip(row, layer.gates, strict=False):
            left, right = layer.saturated(gate)
            ax.plot([0, 1], [1, 0], color=GREY, lw=0.8, ls=":")
            dots = ax.scatter(left, right, s=14, color=BLUE, alpha=0.6, lw=0)
            dots.set_gid(f"dots-{number}-{gate}")
            ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal", title=f"{layer.name}\n{gate} gate")
        for ax in row[len(layer.gates) :]:
            ax.set_visible(False)
    figure.supxlabel(f"share of steps at which the gate is below {LEFT}", fontsize=9)
    figure.supylabel(f"share of steps at which it is above {RIGHT}", fontsize=9)


def memory_curve(ax: Axes, found: MemoryCurve) -> None:
    """How much a change so many steps back alters the output, with its half-life."""
    ax.plot(found.lags, _drawn(found.jacobian), color=BLUE, label="by Jacobian products")
    ax.plot(
        found.checked,
        _drawn(found.finite),
        "o",
        color=ORANGE,
        ms=5,
        mfc="none",
        label="by finite differences",
    )
    for level, steps, name in ((0.5, found.half_life, "half"), (0.05, found.reach, "a twentieth")):
        if steps <= found.longest:
            ax.plot([0, steps, steps], [level, level, FLOOR], color=GREY, lw=1, ls="--")
            ax.annotate(f" {name}: {steps:.3g} steps", (steps, level), va="bottom", color=BLACK)
    low = found.jacobian[found.jacobian >= FLOOR].min(initial=_SMALLEST)
    _logarithmic(ax)
    ax.set(ylim=(low / 2, 2), xlabel="steps back", ylabel="influence (1 at its peak)")
    ax.set_title("How far back a change alters the output")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="upper right")


def half_lives(ax: Axes, layers: Sequence[LayerTrace]) -> None:
    """The half-lives of all units, from the shortest to the longest."""
    styles = cycle(["-", "--", ":", "-."])
    for layer, colour in zip(layers, cycle([BLUE, ORANGE, BLACK, GREY])):
        if layer.half_lives is not None:
            known = np.sort(layer.half_lives)
            share = np.arange(1, len(known) + 1) / len(known)
            ax.plot(
                share,
                np.where(np.isfinite(known), known, np.nan),
                next(styles),
                color=colour,
                label=layer.name,
            )
    _logarithmic(ax)
    ax.set(xlabel="share of the units", ylabel="half-life (steps)", title="Half-lives of the units")
    ax.legend(loc="upper left")


def gradients(ax: Axes, flows: Sequence[GradientFlow]) -> None:
    """The norm of the gradient against the distance in time, a line for each part."""
    styles = cycle(["-", "--", ":", "-."])
    lowest = 1.0
    for flow, colour in zip(flows, cycle([BLUE, ORANGE, BLACK, GREY])):
        label = f"{flow.name}: {flow.kind}, {flow.factor:.3g} a step"
        ax.plot(_drawn(flow.state), next(styles), color=colour, label=label)
        ax.plot(_drawn(flow.hidden), color=colour, lw=0.8, alpha=0.6)
        both = np.concatenate([flow.state, flow.hidden])
        lowest = both[both >= FLOOR].min(initial=lowest)
    ax.axhline(1, color=GREY, lw=0.8, ls=":")
    _logarithmic(ax)
    ax.set(xlabel="distance in steps", ylabel="norm of the gradient\n(1 at distance 0)")
    ax.set_ylim(bottom=lowest / 2)
    ax.set_title(
        "Gradient of a loss at the last step with respect to an earlier state (thin: hidden state alone)"
    )
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="best")


def cut_groups(found: Ablation) -> list[list[AblatedComponent]]:
    """Every layer and gate, and the worst units."""
    of = {kind: [cut for cut in found.components if cut.kind == kind] for kind in ("layer", "gate", "unit")}
    return [[*of["layer"], *of["gate"]], of["unit"][:UNITS]]


def ablation(
    ax: Axes, cuts: Sequence[AblatedComponent], found: Ablation, layers: Sequence[LayerTrace]
) -> None:
    """By how much the loss rises with something switched off."""
    rises = [cut.loss - found.loss for cut in cuts]
    gaps = np.cumsum([a.kind != b.kind for a, b in zip([cuts[0], *cuts], cuts)]) * 0.6
    drawn = ax.barh(
        np.arange(len(cuts)) + gaps, rises, color=[BLUE if rise >= 0 else ORANGE for rise in rises]
    )
    ax.bar_label(drawn, [f"{rise:+.3g}" for rise in rises], padding=4)
    ax.set_yticks(np.arange(len(cuts)) + gaps, [clean(cut_name(cut, layers)) for cut in cuts])
    ax.invert_yaxis()
    ax.axvline(0, color=GREY, lw=0.8)
    ax.margins(y=0.02)
    low, high = min(0.0, *rises), max(0.0, *rises)
    room = _MARGIN * (high - low or 1.0)
    ax.set_xlim(low - (room if low < 0 else 0.0), high + room)
    ax.set(xlabel=f"change of the loss ({clean(found.unit)}); the whole network has {found.loss:.4g}")


def attribution(axes: Sequence[Axes], found: Attribution, steps: Steps) -> None:
    """Integrated gradients and occlusion of each step, below each other."""
    named = {"integrated gradients": found.integrated, "occlusion": found.occlusion}
    for ax, (name, values) in zip(axes, named.items(), strict=True):
        ax.bar(np.arange(len(values)), values, width=1, color=np.where(values >= 0, ORANGE, BLUE))
        ax.axhline(0, color=GREY, lw=0.8)
        ax.set(title=name, ylabel="change of the answer", xlim=(-0.5, len(values) - 0.5))
        ticks(ax, steps, len(values), 100)


def read(ax: Axes, steps: Steps, count: int) -> None:
    """What was read: a few rows as lines, many as an image."""
    assert steps.rows is not None
    rows: Array = steps.rows[:, :count]
    if len(rows) <= LINES:
        styles = cycle(["-", "--", ":", "-."])
        for name, row, colour in zip(row_names(steps), rows, cycle([BLUE, ORANGE, BLACK, GREY])):
            ax.plot(row, next(styles), color=colour, label=name)
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=LINES)
    else:
        ax.imshow(rows, aspect="auto", cmap="cividis", origin="lower", interpolation="nearest")
        names = row_names(steps)
        places = range(0, len(names), max(1, len(names) // 8))
        ax.set_yticks(places, [names[k] for k in places])
    ax.set_xlim(-0.5, count - 0.5)
    ticks(ax, steps, count, 100)


def row_names(steps: Steps) -> list[str]:
    """The names of the rows of what was read, made up where there are none."""
    given, count = steps.row_names, 0 if steps.rows is None else len(steps.rows)
    return [clean(given[k]) if k < len(given) else f"row {k + 1}" for k in range(count)]


def follows(ax: Axes, values: Array, feature: Array, names: tuple[str, str]) -> None:
    """A unit's activation with the feature that it follows, on an axis of its own."""
    ax.plot(values, color=BLUE, lw=1.2)
    ax.set_ylabel(names[0], color=BLUE)
    other = ax.twinx()
    other.spines["right"].set_visible(True)
    shape = "steps-mid" if set(feature[np.isfinite(feature)]) <= {0, 1} else "default"
    other.plot(feature, color=ORANGE, lw=1, ls="--", drawstyle=shape)
    other.set_ylabel(names[1], color=ORANGE)
    ax.set_xlim(-0.5, len(values) - 0.5)
