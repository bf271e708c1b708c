"""Features of each frame of a sound: energy, spectral centroid, silence.

Letters: T frames, S = ceil(T / R) groups of R frames, F bands.
"""

from __future__ import annotations

import numpy as np

from holdfast._typing import Array
from holdfast.insight.analysis.features import changes

_QUIET = 30.0
"""A frame that is this many decibels below the loudest frame of its sound is silence."""
_LOWEST = 20.0
"""Lower edge of the lowest band, in hertz."""
_READY = 16
"""Number of precomputed features that get a name."""


def grouped(frames: Array, factor: int) -> Array:
    """Return the means [S, F] of frames [T, F] in groups of R; the last group may be smaller.

    Example:
        >>> grouped(np.array([[1.0], [3.0], [5.0]]), 2).ravel().tolist()
        [2.0, 5.0]
    """
    begins = np.arange(0, len(frames), factor)
    counts = np.minimum(len(frames) - begins, factor)
    means: Array = np.add.reduceat(np.asarray(frames, np.float64), begins) / counts[:, None]
    return means


def _centers(rate: int, bands: int) -> Array:
    """Return centers of bands in hertz [F], evenly spaced in ``mel = 1127 ln(1 + Hz / 700)``.

    Example:
        >>> _centers(8000, 3).round().tolist()
        [451.0, 1140.0, 2240.0]
    """
    low, high = (1127 * np.log1p(hertz / 700) for hertz in (_LOWEST, rate / 2))
    middles = low + (high - low) * np.arange(1, bands + 1) / (bands + 1)
    return np.asarray(700 * np.expm1(middles / 1127))


def row_names(rate: int | None, size: int) -> list[str]:
    """Return the names of a frame's numbers: centers of bands, or numbers of ready features."""
    if rate is None:
        return [f"feature {k + 1}" for k in range(size)]
    return [f"{hertz:.0f} Hz" for hertz in _centers(rate, size)]


def features(frames: Array, sound: bool, step: float) -> dict[str, Array]:
    """Return features [S] by name of log-mel frames [S, F]; of ready features, the first ones.

    Args:
        frames: natural logarithms of the bands' energies.
        sound: whether they are computed from sound.
        step: seconds between frames.
    """
    time = {"time": np.arange(len(frames)) * step}
    if not sound:
        return time | {f"feature {k + 1}": own for k, own in enumerate(frames.T[:_READY])}
    power = np.exp(frames - frames.max())
    energy = 10 * np.log10(power.sum(1))
    centroid = (power * np.arange(1, frames.shape[1] + 1)).sum(1) / power.sum(1)
    return time | {
        "energy": energy,
        "change of the energy": changes(energy),
        "spectral centroid": centroid,
        "change of the spectral centroid": changes(centroid),
        "silence": (energy < energy.max() - _QUIET).astype(np.float64),
    }
