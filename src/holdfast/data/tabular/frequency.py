"""The time step between rows: inferred or parsed, the grid that it spans, and the season that it
suggests.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from holdfast._typing import Array
from holdfast.errors import UserError

UNITS = {
    "second": "s",
    "minute": "min",
    "hour": "h",
    "day": "d",
    "week": "w",
    "month": "mo",
    "quarter": "q",
    "year": "y",
}
_CODES = {code: unit for unit, code in UNITS.items()}
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_SEASONS = {
    "second": (60, 3600),
    "minute": (60, 1440),
    "hour": (24, 168),
    "day": (7, 365),
    "week": (52,),
    "month": (12,),
    "quarter": (4,),
}
_MOST_INSERTED = 0.25
"""Largest fraction of rows that a grid may add; beyond it each row counts as one time step."""
_CLEAR = 0.9
"""A season counts as found if the seasonal naive forecast's error is below this fraction of the
naive forecast's."""


@dataclass(frozen=True)
class Frequency:
    """A time step of ``count`` units; the unit ``"step"`` counts rows, whatever their times.

    Example:
        >>> Frequency.parse("30min").code, str(Frequency.parse("1mo"))
        ('30min', '1 month')
    """

    unit: str
    count: int = 1

    @property
    def code(self) -> str:
        """The short form: ``30min``, ``1h``, ``1mo``, ``rows``."""
        return "rows" if self.unit == "step" else f"{self.count}{UNITS[self.unit]}"

    def __str__(self) -> str:
        return f"{self.count} {self.unit}" + ("s" if self.count > 1 else "")

    @classmethod
    def parse(cls, text: str) -> Frequency:
        """Parse a short form.

        Raises:
            UserError: the text is not a frequency.
        """
        match = re.fullmatch(r"(\d*)\s*(s|min|h|d|w|mo|q|y)", text.strip())
        if text.strip() == "rows":
            return cls("step")
        if match is None or match[1].strip("0") == "" != match[1]:
            raise UserError(
                "A frequency must be a number with s, min, h, d, w, mo, q or y, or the word rows.",
                f"It was {text!r}.",
                "Give for example --frequency 30min, 1h, 1d, 1mo or rows.",
            )
        return cls(_CODES[match[2]], int(match[1] or 1))


def infer(times: Array) -> Frequency:
    """Return the most common step of sorted times [N]; ``step`` if most rows do not follow it."""
    days = np.diff(times.astype("datetime64[D]")).astype(int)
    for unit, (low, high) in {"month": (28, 31), "quarter": (90, 92), "year": (365, 366)}.items():
        if _mostly(days, low, high) and _regular(times, Frequency(unit)):
            return Frequency(unit)
    steps = np.diff(times).astype("timedelta64[s]").astype(np.int64)
    values, counts = np.unique(steps[steps > 0], return_counts=True)
    if len(values) == 0:
        return Frequency("step")
    seconds = int(values[counts.argmax()])
    unit = next(u for u in ("week", "day", "hour", "minute", "second") if seconds % _SECONDS[u] == 0)
    found = Frequency(unit, seconds // _SECONDS[unit])
    return found if _regular(times, found) else Frequency("step")


def _mostly(days: Array, low: int, high: int) -> bool:
    return bool(len(days)) and float(np.mean((days >= low) & (days <= high))) > 0.5


def _regular(times: Array, frequency: Frequency) -> bool:
    """Return whether every time lies on one grid that adds few rows."""
    if grid_length(times, frequency) > (1 + _MOST_INSERTED) * len(times):
        return False
    return bool(np.isin(times, grid(times, frequency)).all())


def grid_length(times: Array, frequency: Frequency) -> int:
    """Return the length of :func:`grid`, which a single wrong year makes too long to build."""
    if frequency.unit == "step":
        return len(times)
    if frequency.unit in _MONTHS:
        span = times[-1].astype("datetime64[M]") - times[0].astype("datetime64[M]")
        return int(span.astype(int)) // (_MONTHS[frequency.unit] * frequency.count) + 1
    return int((times[-1] - times[0]) // _step(times, frequency)) + 1


def grid(times: Array, frequency: Frequency) -> Array:
    """Return all times from the first to the last at a frequency, the missing ones included."""
    if frequency.unit == "step":
        return times
    steps = np.arange(grid_length(times, frequency))
    if frequency.unit in _MONTHS:
        return _months(times[0], frequency, steps, _day(times))
    whole: Array = times[0] + steps * _step(times, frequency)
    return whole


def future(times: Array, frequency: Frequency, horizon: int) -> Array:
    """Return the next ``horizon`` times after the last; row numbers continue.

    If rows count as steps whatever their times, the median step is added. Daily times without any
    Saturday or Sunday continue without weekends (holidays are not known).
    """
    ahead = np.arange(1, horizon + 1)
    if times.dtype.kind == "M" and frequency.unit in _MONTHS:
        return _months(times[-1], frequency, ahead, _day(times))
    coming: Array = times[-1] + ahead * _step(times, frequency)
    if frequency.unit == "step" and _business_days(times):
        day = times[-1].astype("datetime64[D]")
        coming = np.busday_offset(day, ahead) + (times[-1] - day)
    return coming


def _business_days(times: Array) -> bool:
    """Return whether most steps are one day and no time is on a weekend, although they span one."""
    if times.dtype.kind != "M" or times[-1] - times[0] < np.timedelta64(7, "D"):
        return False
    a_day = bool(np.median(np.diff(times).astype(np.int64)) == 86_400_000_000)
    return a_day and bool(np.is_busday(times.astype("datetime64[D]")).all())


def _step(times: Array, frequency: Frequency) -> np.timedelta64 | int:
    """Return what one step adds to a time, or to a row number."""
    if times.dtype.kind != "M":
        return 1
    if frequency.unit == "step":
        return np.timedelta64(int(np.median(np.diff(times).astype(np.int64))), "us")
    return np.timedelta64(_SECONDS[frequency.unit] * frequency.count * 1_000_000, "us")


def _day(times: Array) -> int:
    """Return the day of the month of the times: 31 if each is the last day of its month."""
    days = times.astype("datetime64[D]")
    months = times.astype("datetime64[M]")
    if (days + 1 == (months + 1).astype("datetime64[D]")).all():
        return 31
    return int((days - months.astype("datetime64[D]")).astype(int).max()) + 1


def _months(start: np.datetime64, frequency: Frequency, steps: Array, day: int) -> Array:
    """Return times whole months after ``start``, on this day or on the last of a shorter month."""
    months = start.astype("datetime64[M]") + steps * _MONTHS[frequency.unit] * frequency.count
    lengths = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(int)
    days = months.astype("datetime64[D]") + (np.minimum(day, lengths) - 1)
    times: Array = days.astype("datetime64[us]") + (start - start.astype("datetime64[D]"))
    return times


def find_season(values: Array, frequency: Frequency) -> int:
    """Return the season whose seasonal naive forecast clearly beats the naive one; 1 if none does.

    Both baselines forecast one season ahead, on the values minus their straight line; the seasonal
    error must be below :data:`_CLEAR` of the other. The frequency suggests the candidates; if rows
    count as steps, every lag up to a third of the rows (at most 400) is one.

    Args:
        values: [N], NaN where missing.
        frequency: the time step between rows.
    """
    candidates = _SEASONS.get(frequency.unit, tuple(range(2, 401)) if frequency.unit == "step" else ())
    lags = sorted(c // frequency.count for c in candidates if c % frequency.count == 0)
    distance = cache(partial(_distance, _without_line(values.astype(np.float64))))
    ratios = {lag: _ratio(distance, lag) for lag in lags if 1 < lag <= len(values) // 3}
    limit = min(_CLEAR, min(ratios.values(), default=1.0) + 0.05)
    return next((lag for lag, ratio in ratios.items() if ratio <= limit), 1)


def _without_line(values: Array) -> Array:
    known = np.flatnonzero(~np.isnan(values))
    if len(known) < 2:
        return values
    slope, level = np.polyfit(known, values[known], 1)
    level_left: Array = values - slope * np.arange(len(values)) - level
    return level_left


def _ratio(distance: Callable[[int], float], season: int) -> float:
    """Return the seasonal naive error over the naive error, 1 to ``season`` steps ahead."""
    steps = np.unique(np.linspace(1, season, min(season, 24)).round().astype(int))
    last = float(np.mean([distance(int(step)) for step in steps]))
    return distance(season) / last if last > 0 else 1.0


def _distance(values: Array, lag: int) -> float:
    """Return the mean absolute difference of values ``lag`` steps apart."""
    away = np.abs(values[lag:] - values[:-lag])
    return float(np.nanmean(away)) if not np.isnan(away).all() else 0.0
