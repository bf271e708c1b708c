"""What each step of a forecaster's window is: its time and values, and what a unit may follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from holdfast._typing import Array
from holdfast.data.tabular.frequency import Frequency
from holdfast.insight.analysis.features import changes
from holdfast.tasks.forecast.windows import Part, when

_OF_A_DAY = ("second", "minute", "hour")
"""Units of time that resolve the hour of the day."""
_MONTHS = ("month", "quarter")


@dataclass(frozen=True)
class Reading:
    """The steps of a window: labels [T], rows [F, T] and their names, and the features of each sequence in it."""

    kind: str
    labels: list[str]
    rows: Array
    names: Sequence[str]
    features: list[dict[str, Array]]


def _by_rows(window: Part, size: int = 1) -> Reading:
    """A step is a row."""
    times, values = cut(window)
    frequency = Frequency.parse(window.rows.schema.frequency)
    kind = frequency.unit if frequency.count == 1 else "step"
    labels = [f"{named(t, frequency.unit)} {v:.4g}" for t, v in zip(times, values[:, 0], strict=True)]
    names = window.rows.schema.columns
    return Reading(kind, labels, values.T, names, [features(times, values, names, frequency.unit)])


def _by_segments(window: Part, size: int) -> Reading:
    """A step is a segment of ``size`` rows of one target; the targets are read side by side, each by itself."""
    times, values = cut(window)
    schema = window.rows.schema
    unit = Frequency.parse(schema.frequency).unit
    places = np.arange(len(times) % size, len(times), size)
    targets = values[places[0] :, : len(schema.targets)].reshape(len(places), size, -1)
    means = targets.mean(1)
    labels = [f"from {named(times[p], unit)}, mean {m:.4g}" for p, m in zip(places, means[:, 0], strict=True)]
    names = [f"{schema.targets[0]}, row {k + 1} of the segment" for k in range(size)]
    each = [features(times[places], own[:, None], ["mean of the segment"], unit) for own in means.T]
    return Reading("segment", labels, targets[:, :, 0].T, names, each)


READINGS = {"recurrent": _by_rows, "segment": _by_segments}
"""Name of a model -> what its steps are."""


def cut(window: Part) -> tuple[Array, Array]:
    """Times [L] and values [L, C] in their units of the rows that a window looks back on; NaN where missing."""
    rows = window.rows
    series = rows.panel.series[int(window.series[0])]
    end = int(window.origins[0] - rows.first[int(window.series[0])])
    some = slice(end - rows.schema.lookback, end)
    return series.times[some], series.values[some].astype(np.float64)


def named(time: object, unit: str) -> str:
    """A time as far as the unit of the steps resolves it; a row number as it is.

    Example:
        >>> named(np.datetime64("2016-01-04T14:00", "us"), "hour"), named(7, "step")
        ('Mon 14:00', '7')
    """
    if not isinstance(time, np.datetime64):
        return str(time)
    at: datetime = time.astype("datetime64[us]").astype(datetime)
    if unit in _OF_A_DAY:
        return f"{at:%a %H:%M}" if unit != "second" else f"{at:%H:%M:%S}"
    if unit in ("day", "week"):
        return f"{at:%a} {at.day} {at:%b}"
    return f"{at:%b %Y}" if unit in _MONTHS else when(time)


def features(times: Array, values: Array, names: Sequence[str], unit: str) -> dict[str, Array]:
    """Name -> [T]: what the calendar says of each time, each column's value, and its change from the step before."""
    found = _calendar(times, unit) if times.dtype.kind == "M" else {}
    for name, own in zip(names, values.T, strict=True):
        found[name] = own
        found[f"change of {name}"] = changes(own)
    return found


def _calendar(times: Array, unit: str) -> dict[str, Array]:
    """Hour, weekday and time of the year on a circle: Sunday is as near to Monday as Monday to Tuesday."""
    days = times.astype("datetime64[D]")
    found: dict[str, Array] = {}
    if unit in _OF_A_DAY:
        found |= _circle("hour of the day", (times - days) / np.timedelta64(1, "D"))
    if unit in (*_OF_A_DAY, "day", "step"):
        number = (days.astype(np.int64) + 3) % 7  # the epoch was a Thursday
        found |= _circle("day of the week", number / 7) | {"weekend": (number >= 5).astype(np.float64)}
    if unit not in (*_OF_A_DAY, "year"):  # hardly changes within a window of hours
        found |= _circle("month", times.astype("datetime64[M]").astype(np.int64) % 12 / 12)
    return found


def _circle(name: str, turns: Array) -> dict[str, Array]:
    """Sine and cosine of a number that comes again after 1."""
    return {f"{name} (sine)": np.sin(2 * np.pi * turns), f"{name} (cosine)": np.cos(2 * np.pi * turns)}
