"""The chapters of the page after the heatmaps: words, drawings, coloured texts and tables of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from holdfast._typing import Array
from holdfast.insight.analysis import summary
from holdfast.insight.analysis.results import LEFT, RIGHT, FeatureUnit, Inspection, LayerTrace, Steps
from holdfast.insight.render import captions, charts, plots
from holdfast.insight.render.captions import number
from holdfast.insight.render.colormaps import signed
from holdfast.insight.render.label_text import clean, sign
from holdfast.insight.render.page.heatmaps import LONGEST
from holdfast.insight.render.page.svg import drawing
from holdfast.insight.render.unit_selection import followed, pictured

TINTS = 33
"""Colours of letters on the page."""
ROWS = 40
"""Rows of a table of numbers along a curve; longer ones are thinned."""
LAST = 1000
"""Steps before an answer that are coloured."""


@dataclass(frozen=True)
class _Letter:
    """A step in a coloured text: its sign, the number of its colour, and whether a line ends after it."""

    sign: str
    tint: int
    ends: bool


@dataclass(frozen=True)
class Figure:
    """A picture with its caption: a text coloured around ``middle`` from its step ``first`` on, or a drawing."""

    title: str
    letters: Sequence[_Letter] = ()
    first: int = 0
    gap: str = ""
    drawing: Markup | None = None
    middle: str = "zero"


@dataclass(frozen=True)
class Table:
    """Rows of text under a header, folded away under a title; the first cell names its row."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class _Chapter:
    """A part of the page."""

    name: str
    title: str
    words: Sequence[str]
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()


def chapters(found: Inspection) -> list[_Chapter]:
    """Those for which something was found."""
    made = (_tracked, _saturation, _memory, _gradients, _attribution, _ablation)
    return [chapter for make in made if (chapter := make(found)) is not None]


def _tracked(found: Inspection) -> _Chapter | None:
    if not found.feature_units:
        return None
    rows = [
        [
            f"{found.layers[unit.layer].name}, unit {unit.unit}",
            unit.state,
            clean(unit.feature),
            f"{unit.confirmed:+.3f}",
            f"{unit.selected:+.3f}",
            _half_life(found.layers[unit.layer], unit.unit),
        ]
        for unit in found.feature_units
    ]
    header = [
        "unit",
        "activation",
        "follows",
        "correlation, unseen half",
        "half it was chosen on",
        "half-life",
    ]
    words = [
        "Units whose activation follows something of the input, the closest first. Each was chosen on one half of the "
        "steps; the correlation that counts is that on the other half.",
    ]
    if where := captions.looked_for(found):
        words.append(f"They were {where}. What does not change in it is not drawn.")
    figures = [_followed(unit, k, found) for k, unit in enumerate(pictured(found))]
    return _Chapter(
        "tracked", "Units that follow something", words, figures, [Table("All of them", header, rows)]
    )


def _half_life(layer: LayerTrace, unit: int) -> str:
    return "" if layer.half_lives is None else number(float(layer.half_lives[unit]))


def _followed(unit: FeatureUnit, number: int, found: Inspection) -> Figure:
    title = clean(captions.tracked(unit, found.layers))
    if charts.shared(found.steps):
        values = plots.centred(unit, found)
        limit = signed(values).ends[1]
        shown = _text(title, found.steps, values / limit, 0, min(len(found.steps), LONGEST))
        return replace(shown, middle="the unit's median")
    painter = plots.follower(unit, found)
    return Figure(title, drawing=drawing(painter, f"tracked-{number}", title))


def _text(title: str, steps: Steps, values: Array, first: int, count: int) -> Figure:
    """A text coloured by values, of which those beyond -1 and 1 have the last colours."""
    part = slice(first, first + count)
    if count < len(steps):
        title = f"{title} ({captions.extent(steps, count, 'last' if first else 'first')})"
    gap = " " if any(len(label) > 1 for label in steps.labels) else ""
    return Figure(title, _letters(steps.labels[part], values[part]), first, gap)


def _letters(labels: Sequence[str], values: Array) -> list[_Letter]:
    tints = np.rint((values.clip(-1, 1) + 1) / 2 * (TINTS - 1))
    return [
        _Letter(label if label == " " else sign(label), int(tint), label.endswith("\n"))
        for label, tint in zip(labels, tints, strict=True)
    ]


def _saturation(found: Inspection) -> _Chapter | None:
    gated = [layer for layer in found.layers if layer.gates]
    if not gated:
        return None
    words = [
        f"A dot is a unit: to the right the share of steps at which its gate is shut (below {LEFT}), upwards the share "
        f"at which it is open (above {RIGHT}), after Karpathy et al. 2015. A unit in the lower right corner lets "
        "hardly anything through, one in the upper left corner all; near the origin a gate works in between. "
        "A GRU's update gate is the other way round: open it keeps the old state, shut it takes the new one.",
        *(captions.saturation(layer) for layer in gated),
    ]
    title = "Share of steps at which each gate is shut and open"
    drawn = drawing(plots.saturation(found.layers), "saturation", f"{title}. {' '.join(words[1:])}")
    tables = [_units(layer, k, found) for k, layer in enumerate(found.layers) if layer.gates]
    return _Chapter("saturation", "Saturated gates", words, [Figure(title, drawing=drawn)], tables)


def _units(layer: LayerTrace, number: int, found: Inspection) -> Table:
    shares = [share for gate in layer.gates for share in layer.saturated(gate)]
    follows = followed(found, number)
    rows = [
        [str(u), _half_life(layer, u), *(f"{s[u]:.2f}" for s in shares), clean(", ".join(follows.get(u, ())))]
        for u in layer.order.tolist()
    ]
    header = [
        "unit",
        "half-life",
        *(f"{g} {how}" for g in layer.gates for how in ("shut", "open")),
        "follows",
    ]
    return Table(f"{layer.name}: every unit, from fast to slow", header, rows)


def _memory(found: Inspection) -> _Chapter | None:
    if found.memory is None and all(layer.half_lives is None for layer in found.layers):
        return None
    words, tables = [], []
    if found.memory is not None:
        finite = dict(zip(found.memory.checked.tolist(), found.memory.finite.tolist(), strict=True))
        words.append(
            "Influence is how much a change of the input so many steps back alters the recurrent output, as a share of "
            "its largest influence."
        )
        rows = [
            [str(int(lag)), number(float(value), 4), number(finite.get(int(lag), np.nan), 4)]
            for lag, value in zip(found.memory.lags, found.memory.jacobian, strict=True)
        ]
        tables.append(
            Table("Influence by lag", ["steps back", "influence", "by finite differences"], _thin(rows))
        )
    if any(layer.half_lives is not None for layer in found.layers):
        words.append(
            "A unit's half-life is the number of steps after which half of what it holds is gone, by its gates: the "
            "median over the steps to begin from."
        )
    drawn = drawing(plots.memory(found), "memory", " ".join([*_heard(found), *words]))
    return _Chapter("memory", "How far memory reaches", words, [Figure("Memory", drawing=drawn)], tables)


def _heard(found: Inspection) -> list[str]:
    """The horizon for those who do not see it."""
    return [] if found.memory is None else [summary.memory(found.memory, found.steps.kind)]


def _thin(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """At most so many rows of a curve, close together at its beginning, its last one among them."""
    if len(rows) <= ROWS:
        return list(rows)
    places = np.unique(np.rint(np.geomspace(1, len(rows), ROWS)).astype(int)) - 1
    return [rows[place] for place in places]


def _gradients(found: Inspection) -> _Chapter | None:
    if not found.gradients:
        return None
    words = [
        "The norm of a loss's gradient with respect to the state so many steps before the loss, as a share of that at "
        "the loss; thin: with respect to the hidden state alone."
    ]
    header = [
        "distance",
        *(f"{flow.name}, {what}" for flow in found.gradients for what in ("state", "hidden")),
    ]
    curves = [curve for flow in found.gradients for curve in (flow.state, flow.hidden)]
    longest = max(map(len, curves))
    rows = [
        [str(k), *(number(float(curve[k]), 4) if k < len(curve) else "" for curve in curves)]
        for k in range(longest)
    ]
    drawn = drawing(
        plots.gradients(found), "gradients", clean(" ".join(flow.sentence for flow in found.gradients))
    )
    title = "Gradient against the distance in time"
    return _Chapter(
        "gradients",
        "Gradients through time",
        words,
        [Figure(title, drawing=drawn)],
        [Table(title, header, _thin(rows))],
    )


def _attribution(found: Inspection) -> _Chapter | None:
    by, steps = found.attribution, found.steps
    if by is None:
        return None
    words = [f"The answer: {clean(by.target)}. Orange speaks for it, blue against it."]
    if charts.shared(steps):
        count = min(len(steps), LAST)
        named = {"Integrated gradients": by.integrated, "Occlusion": by.occlusion}
        figures = [
            _text(name, steps, values / signed(values, 1).ends[1], len(steps) - count, count)
            for name, values in named.items()
        ]
    else:
        drawn = drawing(plots.attribution(found), "attribution", clean(summary.attribution(by, found)))
        figures = [Figure("Integrated gradients and occlusion", drawing=drawn)]
    most = np.argsort(-np.abs(by.integrated), kind="stable")[:ROWS]
    rows = [
        [
            str(int(t) + 1),
            sign(steps.labels[t]),
            summary.away(by, int(t), len(steps)),
            f"{by.integrated[t]:+.4g}",
            f"{by.occlusion[t]:+.4g}",
        ]
        for t in most
    ]
    header = ["step", steps.kind, "from the answer", "integrated gradients", "occlusion"]
    title = f"The {len(rows)} steps that moved it most"
    return _Chapter("attribution", "What moved the answer", words, figures, [Table(title, header, rows)])


def _ablation(found: Inspection) -> _Chapter | None:
    cut = found.ablation
    if cut is None or not cut.components:
        return None
    words = [
        f"The loss of the whole network is {cut.loss:.4g} {clean(cut.unit)}. A gate is held at its mean or open, a "
        "layer or a unit puts out 0."
    ]
    rows = [
        [captions.cut_name(c, found.layers), c.kind, f"{c.loss:.4g}", f"{c.loss - cut.loss:+.4g}"]
        for c in cut.components
    ]
    drawn = drawing(plots.ablation(found), "ablation", clean(" ".join(summary.ablation(cut, found))))
    title = "What it costs to switch something off"
    header = ["switched off", "what it is", f"loss ({cut.unit})", "change"]
    return _Chapter(
        "ablation", title, words, [Figure(title, drawing=drawn)], [Table("All of them", header, rows)]
    )
