"""Sections of the page below the heatmaps: text, charts, colored texts and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np
from markupsafe import Markup

from holdfast._typing import Array
from holdfast.files import counted
from holdfast.insight.analysis import summary
from holdfast.insight.analysis.results import LEFT, RIGHT, FeatureUnit, Inspection, LayerTrace, Steps
from holdfast.insight.render import captions, charts, plots
from holdfast.insight.render.captions import number, plotted_units, tracked_features
from holdfast.insight.render.colormaps import signed
from holdfast.insight.render.label_text import clean, sign
from holdfast.insight.render.page.images import LONGEST, drawing

TINTS = 33
"""Number of colors for letters."""
_ROWS = 40
"""Maximum number of rows in the table of a curve; longer ones are thinned."""
_LAST = 1000
"""Maximum number of colored steps before a prediction."""


@dataclass(frozen=True)
class _Letter:
    """A step in a colored text: its sign, its color index, and whether a line ends after it."""

    sign: str
    tint: int
    ends: bool


@dataclass(frozen=True)
class _Figure:
    """A text from the step ``first`` on, colored around ``middle``, or a chart; and its caption."""

    title: str
    letters: Sequence[_Letter] = ()
    first: int = 0
    gap: str = ""
    drawing: Markup | None = None
    middle: str = "zero"


@dataclass(frozen=True)
class _Table:
    """A collapsible table with a title; the first cell of a row is its header."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class _Section:
    """A section of the page."""

    name: str
    title: str
    text: Sequence[str]
    figures: Sequence[_Figure] = ()
    tables: Sequence[_Table] = ()


def page_sections(found: Inspection) -> list[_Section]:
    """Return the sections that have findings."""
    made = (_feature_units, _saturation, _memory, _gradients, _attribution, _ablation)
    return [section for make in made if (section := make(found)) is not None]


def _feature_units(found: Inspection) -> _Section | None:
    if not found.feature_units:
        return None
    rows = []
    for unit in found.feature_units:
        layer, correlations = found.layers[unit.layer], (f"{unit.confirmed:+.3f}", f"{unit.selected:+.3f}")
        name, life = f"{layer.name}, unit {unit.unit}", _half_life(layer, unit.unit)
        rows.append([name, unit.state, clean(unit.feature), *correlations, life])
    halves = [f"correlation, {half} half" for half in ("held-out", "selection")]
    header = ["unit", "activation", "feature", *halves, "half-life"]
    text = [
        "Units whose activation tracks a feature of the input, the closest first. Each was selected on one half of the "
        "steps. The correlation on the other, held-out half is the evidence.",
    ]
    if where := captions.searched(found):
        text.append(f"{where} Features that do not change in it are not plotted.")
    figures = [_feature_figure(unit, k, found) for k, unit in enumerate(plotted_units(found))]
    tables = [_Table("All feature units", header, rows)]
    return _Section("tracked", "Units that track features", text, figures, tables)


def _half_life(layer: LayerTrace, unit: int) -> str:
    return "" if layer.half_lives is None else number(float(layer.half_lives[unit]))


def _feature_figure(unit: FeatureUnit, number: int, found: Inspection) -> _Figure:
    title = clean(captions.feature_unit(unit, found.layers))
    if charts.is_text(found.steps):
        values = plots.centered(unit, found)
        limit = signed(values).ends[1]
        shown = _text(title, found.steps, values / limit, 0, min(len(found.steps), LONGEST))
        return replace(shown, middle="the unit's median")
    painter = plots.feature_plot(unit, found)
    return _Figure(title, drawing=drawing(painter, f"tracked-{number}", title))


def _text(title: str, steps: Steps, values: Array, first: int, count: int) -> _Figure:
    """Color a text by values; those beyond -1 and 1 get the last colors."""
    part = slice(first, first + count)
    if count < len(steps):
        title = f"{title} ({captions.extent(steps, count, 'last' if first else 'first')})"
    gap = " " if any(len(label) > 1 for label in steps.labels) else ""
    return _Figure(title, _letters(steps.labels[part], values[part]), first, gap)


def _letters(labels: Sequence[str], values: Array) -> list[_Letter]:
    tints = np.rint((values.clip(-1, 1) + 1) / 2 * (TINTS - 1))
    return [
        _Letter(label if label == " " else sign(label), int(tint), label.endswith("\n"))
        for label, tint in zip(labels, tints, strict=True)
    ]


def _saturation(found: Inspection) -> _Section | None:
    painter = plots.saturation(found)
    if painter is None:
        return None
    text = [
        f"Each dot is a unit. The horizontal axis is the share of steps at which its gate is shut (below {LEFT}), the "
        f"vertical axis the share at which it is open (above {RIGHT}), after Karpathy et al. 2015. A gate in the lower "
        "right corner lets hardly anything through, one in the upper left corner almost everything; near the "
        "origin, it takes values in between. A GRU's update gate keeps the old state when open and takes the new "
        "one when shut.",
        *(captions.saturation(layer) for layer in found.layers if layer.gates),
    ]
    title = "Share of steps at which each gate is shut or open"
    drawn = drawing(painter, "saturation", f"{title}. {' '.join(text[1:])}")
    tables = [_units(layer, k, found) for k, layer in enumerate(found.layers) if layer.gates]
    return _Section("saturation", "Saturated gates", text, [_Figure(title, drawing=drawn)], tables)


def _units(layer: LayerTrace, number: int, found: Inspection) -> _Table:
    shares = [share for gate in layer.gates for share in layer.saturation(gate)]
    tracked = tracked_features(found, number)
    rows = [
        [str(u), _half_life(layer, u), *(f"{s[u]:.2f}" for s in shares), clean(", ".join(tracked.get(u, ())))]
        for u in layer.order.tolist()
    ]
    saturated = [f"{gate} {how}" for gate in layer.gates for how in ("shut", "open")]
    header = ["unit", "half-life", *saturated, "tracks"]
    return _Table(f"{layer.name}: all units, from fast to slow", header, rows)


def _memory(found: Inspection) -> _Section | None:
    painter = plots.memory(found)
    if painter is None:
        return None
    spoken, text, tables = [], [], []
    if found.memory is not None:
        finite = dict(zip(found.memory.checked.tolist(), found.memory.finite.tolist(), strict=True))
        text.append(
            "Influence is the effect of a change of the input on the recurrent output that many steps later, "
            "relative to its peak."
        )
        rows = [
            [str(int(lag)), number(float(value), 4), number(finite.get(int(lag), np.nan), 4)]
            for lag, value in zip(found.memory.lags, found.memory.jacobian, strict=True)
        ]
        header = ["steps back", "influence", "by finite differences"]
        tables.append(_Table("Influence by distance", header, _thin(rows)))
        spoken.append(summary.memory(found.memory, found.steps.kind))
    if any(layer.half_lives is not None for layer in found.layers):
        text.append(
            "A unit's half-life is the number of steps in which it loses half of its content, computed from its gates: "
            "the median over start steps."
        )
    drawn = drawing(painter, "memory", " ".join([*spoken, *text]))
    figure = _Figure("Influence of an input, and half-lives of units", drawing=drawn)
    return _Section("memory", "Memory", text, [figure], tables)


def _thin(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Thin the rows of a curve, keeping more at its beginning, and the last one."""
    if len(rows) <= _ROWS:
        return list(rows)
    places = np.unique(np.rint(np.geomspace(1, len(rows), _ROWS)).astype(int)) - 1
    return [rows[place] for place in places]


def _gradients(found: Inspection) -> _Section | None:
    painter = plots.gradients(found)
    if painter is None:
        return None
    text = [
        "Norm of a loss's gradient with respect to the state that many steps before the loss, relative to its norm at "
        "the loss. Thin lines: with respect to the hidden state only."
    ]
    names = [f"{flow.name}, {what}" for flow in found.gradients for what in ("state", "hidden")]
    curves = [curve for flow in found.gradients for curve in (flow.state, flow.hidden)]
    padded = zip_longest(*curves, fillvalue=np.nan)  # which a table shows as an empty cell
    rows = [[str(k), *(number(float(value), 4) for value in values)] for k, values in enumerate(padded)]
    title, spoken = "Gradient by distance in time", " ".join(flow.sentence for flow in found.gradients)
    figure = _Figure(title, drawing=drawing(painter, "gradients", clean(spoken)))
    table = _Table(title, ["distance", *names], _thin(rows))
    return _Section("gradients", "Gradients through time", text, [figure], [table])


def _attribution(found: Inspection) -> _Section | None:
    by, steps, painter = found.attribution, found.steps, plots.attribution(found)
    if by is None or painter is None:
        return None
    text = [f"Prediction: {clean(by.target)}. Orange steps speak for it, blue steps against it."]
    if charts.is_text(steps):
        count = min(len(steps), _LAST)
        named = {"Integrated gradients": by.integrated, "Occlusion": by.occlusion}
        figures = [
            _text(name, steps, values / signed(values, 1).ends[1], len(steps) - count, count)
            for name, values in named.items()
        ]
    else:
        drawn = drawing(painter, "attribution", clean(summary.attribution(by, found)))
        figures = [_Figure("Integrated gradients and occlusion", drawing=drawn)]
    rows = []
    for t in np.argsort(-np.abs(by.integrated), kind="stable")[:_ROWS].tolist():
        values = f"{by.integrated[t]:+.4g}", f"{by.occlusion[t]:+.4g}"
        rows.append([str(t + 1), sign(steps.labels[t]), summary.distance(by, t, len(steps)), *values])
    header = ["step", steps.kind, "distance", "integrated gradients", "occlusion"]
    table = _Table(f"The {counted(len(rows), 'step')} with the largest influence", header, rows)
    return _Section("attribution", "Time steps that influenced the prediction", text, figures, [table])


def _ablation(found: Inspection) -> _Section | None:
    cut, painter = found.ablation, plots.ablation(found)
    if cut is None or painter is None:
        return None
    text = [
        f"The loss of the whole network is {cut.loss:.4g} {clean(cut.unit)}. An ablated gate is held at its mean, "
        "open or shut. An ablated layer or unit outputs 0."
    ]
    rows = [
        [captions.component_name(c, found.layers), c.kind, f"{c.loss:.4g}", f"{c.loss - cut.loss:+.4g}"]
        for c in cut.components
    ]
    drawn = drawing(painter, "ablation", clean(" ".join(summary.ablation(cut, found))))
    table = _Table("All ablations", ["ablated", "kind", f"loss ({cut.unit})", "change"], rows)
    return _Section("ablation", "Ablation", text, [_Figure("Ablation", drawing=drawn)], [table])
