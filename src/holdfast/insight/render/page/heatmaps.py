"""Activations as pictures that carry their numbers: a PNG whose palette indices are the values' bytes."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from holdfast._typing import Array
from holdfast.insight.analysis.results import Inspection, LayerTrace, Steps
from holdfast.insight.render.colormaps import Scale, scale_of
from holdfast.insight.render.unit_selection import chosen

BYTES, OF_A_UNIT, OF_A_SAMPLE = 4_400_000, 520, 4 / 3
"""What the network may take of a page below 5 MB; a unit takes so many in tables and dots, a number one in base64."""
LONGEST = 2000
"""Steps in a page."""
FEWEST = 4
"""Units of each activation that are always shown."""


@dataclass(frozen=True)
class Raster:
    """One activation of one part: [units, steps] as a PNG.

    Attributes:
        name: of the activation.
        gate: it is a gate, between 0 and 1.
        scale: what its bytes stand for.
        units: the units of its rows, from the top.
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
        """Its name in a caption."""
        return f"{self.name} gate" if self.gate else self.name


def steps_shown(steps: Steps) -> int:
    """How many steps a page shows."""
    return min(len(steps), LONGEST)


def room(found: Inspection) -> int:
    """Units of each activation for which there is room."""
    rows = sum(len(layer.activations) for layer in found.layers)
    units = sum(len(layer.order) for layer in found.layers)
    samples = (BYTES - OF_A_UNIT * units) / OF_A_SAMPLE
    return max(FEWEST, int(samples) // (steps_shown(found.steps) * rows))


def rasters(layer: LayerTrace, most: int, wanted: Sequence[int], steps: int) -> list[Raster]:
    """Every activation of a part, of at most so many units; those of a projected state are its own."""
    return [_raster(layer, name, most, wanted, steps) for name in layer.activations]


def _raster(layer: LayerTrace, name: str, most: int, wanted: Sequence[int], steps: int) -> Raster:
    values, scale = layer.activations[name], scale_of(layer, name)
    order = layer.order if len(layer.order) == values.shape[1] else np.arange(values.shape[1])
    units = chosen(order, most, wanted)
    source = png(values[:steps, units].T, scale)
    return Raster(name, name in layer.gates, scale, units, values[:steps].mean(1), source)


def png(values: Array, scale: Scale) -> str:
    """Numbers [rows, columns] as a data URI of a PNG with a palette: its indices are their bytes."""
    image = Image.fromarray(scale.bytes_of(values))  # Pillow writes images with a palette unfiltered
    image.putpalette(scale.palette().tobytes())
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=9)
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
