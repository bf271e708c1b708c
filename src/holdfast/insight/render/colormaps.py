"""Color scales for color-blind readers: cividis for magnitudes, blue to orange for signs."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import NDArray

from holdfast._typing import Array
from holdfast.insight.analysis.results import LayerTrace

LEVELS = 256
CIVIDIS = matplotlib.colormaps["cividis"]
SIGNED = LinearSegmentedColormap.from_list("signed", ["#2f7bbf", "#9cc4e6", "#f7f7f7", "#f5bd86", "#e0761f"])
"""Blue below zero, orange above; black letters are legible on all (contrast 4.5 or more)."""


@dataclass(frozen=True)
class Scale:
    """Map numbers from ``low`` to ``high`` to bytes, and bytes to colors.

    Attributes:
        low, high: numbers of the bytes 0 and 255.
        limit: number from which a signed scale has its last color; None for magnitudes.
    """

    low: float
    high: float
    limit: float | None = None

    def bytes_of(self, values: Array) -> NDArray[np.uint8]:
        """Return the nearest bytes; NaN becomes 0."""
        width = (self.high - self.low) or 1.0
        shares: Array = np.nan_to_num((values - self.low) / width).clip(0, 1)
        found: NDArray[np.uint8] = np.rint(shares * (LEVELS - 1)).astype(np.uint8)
        return found

    def palette(self) -> NDArray[np.uint8]:
        """Return red, green and blue of each byte, [256, 3]."""
        places: Array = np.linspace(0, 1, LEVELS)
        if self.limit is not None:
            values = self.low + places * (self.high - self.low)
            places = (values / (self.limit or 1.0)).clip(-1, 1) / 2 + 0.5
        colors: Array = (CIVIDIS if self.limit is None else SIGNED)(places)[:, :3]
        found: NDArray[np.uint8] = np.rint(colors * (LEVELS - 1)).astype(np.uint8)
        return found

    def colors(self, values: Array) -> NDArray[np.uint8]:
        """Return red, green and blue of numbers, [..., 3]."""
        return self.palette()[self.bytes_of(values)]

    @property
    def ends(self) -> tuple[float, float]:
        """The numbers at both ends of the colors."""
        return (self.low, self.high) if self.limit is None else (-self.limit, self.limit)


def signed(values: Array, colored: float = 0.95) -> Scale:
    """Return a scale centered on zero; values beyond the share ``colored`` get the last color.

    Example:
        >>> signed(np.array([-1.0, 0.5])).high
        1.0
    """
    sizes = np.abs(values[np.isfinite(values)])
    most = float(sizes.max(initial=0.0)) or 1.0
    limit = float(np.quantile(sizes, colored)) if sizes.size else most
    return Scale(-most, most, limit or most)


def spread(values: Array) -> Scale:
    """Return a scale of magnitudes from the smallest number to the largest."""
    known = values[np.isfinite(values)]
    return Scale(float(known.min()), float(known.max())) if known.size else Scale(0.0, 1.0)


def scale_of(layer: LayerTrace, name: str) -> Scale:
    """Return the scale of an activation: 0 to 1 for a gate, signed for the others."""
    return Scale(0.0, 1.0) if name in layer.gates else signed(layer.activations[name])
