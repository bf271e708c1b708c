"""Build the template's values, and the numbers that the page's script reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from holdfast._json import JsonMapping, JsonObject
from holdfast._typing import Array
from holdfast.insight.analysis.results import Inspection, LayerTrace, Steps
from holdfast.insight.render import captions, charts, plots
from holdfast.insight.render.colormaps import CIVIDIS, LEVELS, SIGNED, spread
from holdfast.insight.render.label_text import clean, sign
from holdfast.insight.render.page.images import Raster, drawing, png, rasters, steps_shown, unit_limit
from holdfast.insight.render.page.sections import TINTS, page_sections


def page_context(found: Inspection) -> JsonObject:
    """Return the template's values."""
    count = steps_shown(found.steps)
    heatmaps = []
    for number, layer in enumerate(found.layers):
        wanted = [unit.unit for unit in found.feature_units if unit.layer == number]
        heatmaps.append(rasters(layer, unit_limit(found), wanted, count))
    return {
        "title": clean(found.title),
        "network": clean(captions.network(found)),
        "summary": [clean(text) for text in found.summary],
        "notes": [clean(text) for text in [*found.notes, *_limits(found, heatmaps)]],
        "layers": list(zip(found.layers, heatmaps)),
        "rows": _rows(found.steps, count),
        "reading": _reading(found.steps, count),
        "steps": captions.extent(found.steps, count),
        "sections": page_sections(found),
        "tints": [_hex(SIGNED(k / (TINTS - 1))) for k in range(TINTS)],
        "gradients": {name: _gradient(cmap) for name, cmap in (("magnitude", CIVIDIS), ("signed", SIGNED))},
        "data": Markup(_json(_script_data(found, heatmaps, count))),
    }


def _script_data(found: Inspection, heatmaps: Sequence[Sequence[Raster]], count: int) -> JsonObject:
    """Return the numbers that the page's script reads; activations are in the images."""
    steps = found.steps
    return {
        "kind": clean(steps.kind),
        "labels": [sign(label) for label in steps.labels[:count]],
        "features": {clean(name): _numbers(row[:count], 5) for name, row in steps.features.items()},
        "read": _series(steps, count),
        "parts": [_layer(layer, drawn) for layer, drawn in zip(found.layers, heatmaps, strict=True)],
        "tracked": [
            {"part": one.layer, "unit": one.unit, "caption": clean(captions.feature_unit(one, found.layers))}
            for one in found.feature_units
        ],
    }


def _series(steps: Steps, count: int) -> list[JsonObject]:
    """Return the input rows, if they are few; more are only in the image."""
    if steps.rows is None or len(steps.rows) > charts.LINES:
        return []
    named = zip(charts.row_names(steps), steps.rows, strict=True)
    return [{"name": name, "values": _numbers(row[:count], 5)} for name, row in named]


def _layer(layer: LayerTrace, drawn: Sequence[Raster]) -> JsonObject:
    saturated = {gate: layer.saturation(gate) for gate in layer.gates}
    return {
        "name": clean(layer.name),
        "cell": layer.cell,
        "halfLives": None if layer.half_lives is None else _numbers(layer.half_lives, 4),
        "saturated": {gate: [_numbers(share, 4) for share in both] for gate, both in saturated.items()},
        "activations": [
            {
                "name": raster.name,
                "title": raster.title,
                "low": raster.scale.low,
                "high": raster.scale.high,
                "units": raster.units.tolist(),
                "means": _numbers(raster.means, 4),
            }
            for raster in drawn
        ],
    }


def _numbers(values: Array, digits: int) -> list[float | str | None]:
    """Round numbers for JSON: null for NaN, a string for infinity."""
    return [
        None if np.isnan(v) else float(f"{v:.{digits}g}") if np.isfinite(v) else "Infinity"
        for v in np.asarray(values, float)
    ]


def _json(values: JsonMapping) -> str:
    """Return JSON that no HTML parser can mistake for a tag."""
    return json.dumps(values, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _hex(color: Sequence[float]) -> str:
    return "#" + "".join(f"{round(c * (LEVELS - 1)):02x}" for c in color[:3])


def _gradient(cmap: Any) -> str:
    return ", ".join(_hex(cmap(place)) for place in np.linspace(0, 1, 9))


def _rows(steps: Steps, count: int) -> str | None:
    """Return the input rows as an image like the heatmaps; None if labels are the whole input."""
    if steps.rows is None:
        return None
    rows = steps.rows[::-1, :count]
    if len(rows) <= charts.LINES:  # each on its own scale, since series have different units
        low, high = np.nanmin(rows, 1, keepdims=True), np.nanmax(rows, 1, keepdims=True)
        rows = (rows - low) / np.where(high > low, high - low, 1)
    return png(rows, spread(rows))


def _reading(steps: Steps, count: int) -> Markup | None:
    """Return the input rows as a chart."""
    if steps.rows is None:
        return None
    painter = plots.one((12, 2.6), lambda ax: charts.input_rows(ax, steps, count))
    return drawing(painter, "reading", f"Input: {', '.join(charts.row_names(steps))}")


def _limits(found: Inspection, heatmaps: Sequence[Sequence[Raster]]) -> Iterator[str]:
    if steps_shown(found.steps) < len(found.steps):
        yield f"The heatmaps on this page show {captions.extent(found.steps, steps_shown(found.steps))}."
    for layer, drawn in zip(found.layers, heatmaps, strict=True):
        if len(drawn[0].units) < layer.activations[drawn[0].name].shape[1]:
            yield (
                f"{layer.name}: this page shows {len(drawn[0].units)} of {len(layer.order)} units, so that it stays "
                "below 5 MB: the feature units, and others at even distances from fast to slow. Means, shares and "
                "half-lives include all units."
            )
