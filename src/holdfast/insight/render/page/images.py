"""Images in the page: charts as SVG, and heatmaps as PNG whose palette indices carry values."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from PIL import Image

from holdfast._typing import Array
from holdfast.insight.analysis.results import Inspection, LayerTrace, Steps
from holdfast.insight.render.captions import choose_units
from holdfast.insight.render.colormaps import Scale, scale_of
from holdfast.insight.render.plots import STYLE, Painter
from holdfast.reporting.plots import BLACK, BLUE, GREY, ORANGE, sketch

# -- charts ----------------------------------------------------------------------------------------

_INK = "#010203"  # replaces matplotlib's default black, to be recognizable
_VARIABLES = {
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
    GREY: "var(--grey)",
    BLACK: "currentColor",
    _INK: "currentColor",
}
_INKED = {
    f"{name}color": _INK for name in ("text.", "axes.edge", "axes.label", "axes.title", "xtick.", "ytick.")
}
_LEFT_OUT = (
    r"<\?xml.*?\?>", r"<!DOCTYPE.*?>", r"<metadata>.*?</metadata>", r"<!--.*?-->", r'\sxmlns(:\w+)?="[^"]*"',
    r'(?<=<svg)(\s(width|height|version)="[^"]*")+', r'(?<=<g) id="(?!dots-)[^"]*"',
)  # fmt: skip


def drawing(painter: Painter, name: str, description: str) -> Markup:
    """Draw a figure as SVG to embed in a page, with the page's colors and no external references.

    Args:
        painter: size of the figure, and the function that paints it.
        name: a name unique in the page.
        description: text for screen readers.
    """
    size, paint = painter
    out = io.BytesIO()
    with sketch(size, {**STYLE, **_INKED, "svg.hashsalt": name}) as figure:
        paint(figure)
        figure.savefig(out, format="svg", transparent=True)
    opening = Markup('<svg role="img" aria-label="{}" style="width: {}rem"').format(
        description, round(size[0] * 5.4)
    )
    return Markup(_bare(out.getvalue().decode()).replace("<svg", opening, 1))  # matplotlib escapes texts


def _bare(svg: str) -> str:
    for pattern in _LEFT_OUT:
        svg = re.sub(pattern, "", svg, flags=re.DOTALL)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(f": {color}", f": {variable}")
    return svg.strip()


# -- heatmaps --------------------------------------------------------------------------------------

_BYTES, _UNIT_BYTES, _VALUE_BYTES = 4_400_000, 520, 4 / 3
"""Bytes that the network may take in a page below 5 MB; bytes of a unit in
tables and dots; bytes of a value in base64."""
LONGEST = 2000
"""Maximum number of steps in a page."""
_MIN_UNITS = 4
"""Minimum number of units shown for each activation."""


@dataclass(frozen=True)
class Raster:
    """One activation of one layer as a PNG of [units, steps].

    Attributes:
        name: name of the activation.
        gate: whether it is a gate, between 0 and 1.
        scale: values of the bytes.
        units: units of the rows, from the top.
        means: [T] means over all units.
        source: the PNG as a data URI.
    """

    name: str
    gate: bool
    scale: Scale
    units: Array
    means: Array
    source: str

    @property
    def title(self) -> str:
        """The name in a caption."""
        return f"{self.name} gate" if self.gate else self.name


def steps_shown(steps: Steps) -> int:
    """Return the number of steps that a page shows."""
    return min(len(steps), LONGEST)


def unit_limit(found: Inspection) -> int:
    """Return the number of units of each activation that fit into the page."""
    rows = sum(len(layer.activations) for layer in found.layers)
    units = sum(len(layer.order) for layer in found.layers)
    samples = (_BYTES - _UNIT_BYTES * units) / _VALUE_BYTES
    return max(_MIN_UNITS, int(samples) // (steps_shown(found.steps) * rows))


def rasters(layer: LayerTrace, most: int, wanted: Sequence[int], steps: int) -> list[Raster]:
    """Return every activation of a layer with at most so many units."""
    found = []
    for name, values in layer.activations.items():
        scale = scale_of(layer, name)
        order = layer.order if len(layer.order) == values.shape[1] else np.arange(values.shape[1])
        units = choose_units(order, most, wanted)
        source = png(values[:steps, units].T, scale)
        found.append(Raster(name, name in layer.gates, scale, units, values[:steps].mean(1), source))
    return found


def png(values: Array, scale: Scale) -> str:
    """Encode numbers [rows, columns] as the palette indices of a PNG, as a data URI."""
    image = Image.fromarray(scale.bytes_of(values))  # Pillow writes images with a palette unfiltered
    image.putpalette(scale.palette().tobytes())
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=9)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
