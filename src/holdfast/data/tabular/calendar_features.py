"""Calendar features: the time of day, of the week and of the year as sines and cosines."""

from __future__ import annotations

import numpy as np

from holdfast._typing import Array
from holdfast.data.tabular.frequency import Frequency

_CYCLES = {
    "second": ("day", "week"),
    "minute": ("day", "week", "year"),
    "hour": ("day", "week", "year"),
    "day": ("week", "year"),
    "week": ("year",),
    "month": ("year",),
    "quarter": ("year",),
    "year": (),
    "step": (),
}


def calendar_features(times: Array, frequency: Frequency) -> tuple[Array, tuple[str, ...]]:
    """Return the sine and cosine of each cycle that the frequency resolves.

    Args:
        times: [N] datetime64[us], or row numbers, which have no calendar.
        frequency: determines the cycles, and with them K.

    Returns:
        features as float32 [N, K], and K names such as ``("day_sin", "day_cos")``.
    """
    cycles = _CYCLES[frequency.unit] if times.dtype.kind == "M" else ()
    phases = [2 * np.pi * _phase(times, cycle) for cycle in cycles]
    columns = [f(phase) for phase in phases for f in (np.sin, np.cos)]
    names = tuple(f"{cycle}_{f}" for cycle in cycles for f in ("sin", "cos"))
    table = np.stack(columns, 1) if columns else np.zeros((len(times), 0))
    return table.astype(np.float32), names


def _phase(times: Array, cycle: str) -> Array:
    """Return the elapsed fraction of the cycle, in [0, 1); a week begins on Thursday."""
    if cycle == "year":
        start = times.astype("datetime64[Y]")
        length = (start + 1).astype("datetime64[us]") - start.astype("datetime64[us]")
        share: Array = (times - start.astype("datetime64[us]")) / length
        return share
    length = np.timedelta64({"day": 1, "week": 7}[cycle] * 86_400_000_000, "us")
    return (times.astype("datetime64[us]").astype(np.int64) % length.astype(np.int64)) / length.astype(
        np.int64
    )
