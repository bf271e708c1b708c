"""The step between rows: found, read from text, laid out as a grid, and the season it suggests."""

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
"""A grid that would add more than this share of the rows is none: each row then counts as one step."""
_CLEAR = 0.9
"""A season counts as found when its naive forecast has less than this share of the last value's error."""


@dataclass(frozen=True)
class Frequency:
    """``count`` units between two rows; the unit ``"step"`` counts rows, whatever their times.

    Example:
        >>> Frequency.parse("30min").code, str(Frequency.parse("1mo"))
        ('30min', '1 month')
    """

    unit: str
    count: int = 1

    @property
    def code(self) -> str:
        """Short form: ``30min``, ``1h``, ``1mo``, ``rows``."""
        return "rows" if self.unit == "step" else f"{self.count}{UNITS[self.unit]}"

    def __str__(self) -> str:
        return f"{self.count} {self.unit}" + ("s" if self.count > 1 else "")

    @classmethod
    def parse(cls, text: str) -> Frequency:
        """Read a short form; anything else is a UserError."""
        match = re.fullmatch(r"(\d*)\s*(s|min|h|d|w|mo|q|y)", text.strip())
        if text.strip() == "rows":
            return cls("step")
        if match is None or match[1].strip("0") == "" != match[1]:
            raise UserError(
                "A frequency is a number with s, min, h, d, w, mo, q or y, or the word rows.",
                f"It was {text!r}.",
                "Give for example --frequency 30min, 1h, 1d, 1mo or rows.",
            )
        return cls(_CODES[match[2]], int(match[1] or 1))


def infer(times: Array) -> Frequency:
    """The most common step of sorted times [N] (datetime64[us]), or ``step`` where most rows do not follow it."""
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
    """Whether every time lies on one grid that adds few rows."""
    if grid_length(times, frequency) > (1 + _MOST_INSERTED) * len(times):
        return False
    return bool(np.isin(times, grid(times, frequency)).all())


def grid_length(times: Array, frequency: Frequency) -> int:
    """How many rows :func:`grid` has, without laying it out: one wrong year may mean billions."""
    if frequency.unit == "step":
        return len(times)
    if frequency.unit in _MONTHS:
        span = times[-1].astype("datetime64[M]") - times[0].astype("datetime64[M]")
        return int(span.astype(int)) // (_MONTHS[frequency.unit] * frequency.count) + 1
    return int((times[-1] - times[0]) // _step(times, frequency)) + 1


def grid(times: Array, frequency: Frequency) -> Array:
    """All times from the first to the last at a frequency, those missing among ``times`` included."""
    if frequency.unit == "step":
        return times
    steps = np.arange(grid_length(times, frequency))
    if frequency.unit in _MONTHS:
        return _months(times[0], frequency, steps, _day(times))
    whole: Array = times[0] + steps * _step(times, frequency)
    return whole


def future(times: Array, frequency: Frequency, horizon: int) -> Array:
    """The next ``horizon`` times after the last; row numbers go on counting.

    Where rows count as steps whatever their times, the median step is added on; days of which none is a Saturday or
    a Sunday go on without them (holidays are not known).
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
    """Whether most steps are a day, and no time lies on a weekend though they span one."""
    if times.dtype.kind != "M" or times[-1] - times[0] < np.timedelta64(7, "D"):
        return False
    a_day = bool(np.median(np.diff(times).astype(np.int64)) == 86_400_000_000)
    return a_day and bool(np.is_busday(times.astype("datetime64[D]")).all())


def _step(times: Array, frequency: Frequency) -> np.timedelta64 | int:
    """What one step adds to a time, or to a row number."""
    if times.dtype.kind != "M":
        return 1
    if frequency.unit == "step":
        return np.timedelta64(int(np.median(np.diff(times).astype(np.int64))), "us")
    return np.timedelta64(_SECONDS[frequency.unit] * frequency.count * 1_000_000, "us")


def _day(times: Array) -> int:
    """The day of the month on which the times lie: 31 where each is a month's last."""
    days = times.astype("datetime64[D]")
    months = times.astype("datetime64[M]")
    if (days + 1 == (months + 1).astype("datetime64[D]")).all():
        return 31
    return int((days - months.astype("datetime64[D]")).astype(int).max()) + 1


def _months(start: np.datetime64, frequency: Frequency, steps: Array, day: int) -> Array:
    """Whole months after ``start``: on that day of the month, or on its last where it is shorter."""
    months = start.astype("datetime64[M]") + steps * _MONTHS[frequency.unit] * frequency.count
    lengths = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(int)
    days = months.astype("datetime64[D]") + (np.minimum(day, lengths) - 1)
    times: Array = days.astype("datetime64[us]") + (start - start.astype("datetime64[D]"))
    return times


def find_season(values: Array, frequency: Frequency) -> int:
    """The season for which repeating the last one beats repeating the last value most clearly; 1 for none.

    Both simple forecasts are tried one season ahead on the values without their straight line; the season's error must
    be below :data:`_CLEAR` of the other's. Candidates are those that the frequency suggests; where rows count as steps,
    every lag up to a third of the rows (400 at most).

    Args:
        values: [N], NaN where missing.
        frequency: the step between rows.
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
    """Error of the seasonal naive forecast over that of the last value, 1 to ``season`` steps ahead."""
    steps = np.unique(np.linspace(1, season, min(season, 24)).round().astype(int))
    last = float(np.mean([distance(int(step)) for step in steps]))
    return distance(season) / last if last > 0 else 1.0


def _distance(values: Array, lag: int) -> float:
    """Mean absolute difference of values ``lag`` steps apart."""
    away = np.abs(values[lag:] - values[:-lag])
    return float(np.nanmean(away)) if not np.isnan(away).all() else 0.0
