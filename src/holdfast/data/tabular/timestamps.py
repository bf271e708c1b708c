"""The time column: find it, parse it and check it."""

from __future__ import annotations

from datetime import time

import numpy as np
import polars as pl

from holdfast._typing import Array
from holdfast.data.tabular.table import RowError, as_text, refuse_null, require_column
from holdfast.errors import UserError

NAMES = ("date", "datetime", "time", "timestamp", "ds", "month", "day", "week", "year", "period")
_PARTS = ("year", "month", "day", "hour", "minute")
_FORMATS = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%Y-%m",
    "%Y%m%d",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
)
_SLASHED = tuple(
    f"{date}{clock}" for clock in ("", " %H:%M", " %H:%M:%S") for date in ("%d/%m/%Y", "%m/%d/%Y")
)
_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M%z")

_DATE = r"^(\d{4}[-/]\d{1,2}[-/]\d{1,2}|\d{1,2}[./]\d{1,2}[./]\d{4})([ T].*)?$"
"""Pattern of a full date; the year has four digits, so that 13/02/24 is not read as the year 13."""
_YEAR = r"^[12]\d{3}$"
_SHORT = rf"{_YEAR}|^\d{{4}}-\d{{1,2}}$|^[12]\d{{7}}$"
"""Years, months and dates without separators: times only in a column whose name says so."""
_ZONE = r"(Z|[+-]\d{2}:?\d{2})$"


def find_time(frame: pl.DataFrame, named: str | None) -> tuple[str | None, tuple[str, ...]]:
    """Return the time column, or its parts joined by commas, and notes on the choice.

    The column is found by its type, else by its name and values, else by its values alone (at least
    half look like dates). Otherwise columns named year, month (day, hour, minute) form the time.
    Without any, rows are numbered.
    """
    if named is not None:
        return _named(frame, named), ()
    lower = {name.lower(): name for name in frame.columns}
    parts = _parts(frame, lower)
    likely = [lower[n] for n in NAMES if n in lower and lower[n] not in parts]
    candidates = [n for n in frame.columns if frame[n].dtype in (pl.Date, pl.Datetime)]
    candidates += [n for n in likely if n not in candidates and _mostly(frame[n], f"{_DATE}|{_SHORT}")]
    others = [n for n in frame.columns if n not in candidates and frame[n].dtype == pl.String]
    candidates += [n for n in others if _mostly(frame[n], _DATE)]
    if candidates:
        more = f" (also possible: {', '.join(candidates[1:])})" if len(candidates) > 1 else ""
        return candidates[0], (f"time column found: {candidates[0]!r}{more}",)
    if parts:
        return ",".join(parts), (f"time is built from the columns {', '.join(parts)}",)
    why = f" ({likely[0]!r} holds no dates such as 2024-05-31)" if likely else ""
    return None, (f"no time column found{why}: rows count as evenly spaced (--time names the column)",)


def _named(frame: pl.DataFrame, named: str) -> str:
    """Check a named time column, or the named parts of a time; return the parts in order."""
    names = [name.strip() for name in named.split(",")]
    if named in frame.columns or len(names) == 1:
        require_column(frame, named, "time column")
        return named
    for name in names:
        require_column(frame, name, "time column")
    found = {name.lower(): name for name in names}
    parts = [found[p] for p in _PARTS if p in found]
    if len(parts) != len(names) or tuple(p.lower() for p in parts) != _PARTS[: len(parts)]:
        raise UserError(
            "The columns of a time must be named year, month, day, hour and minute, without a gap from the year on.",
            f"They were: {', '.join(names)}.",
            "Rename the columns, or join them into one.",
        )
    return ",".join(parts)


def _parts(frame: pl.DataFrame, lower: dict[str, str]) -> list[str]:
    """Return the numeric columns named year, month, ..., up to a gap; none for a year alone."""
    parts: list[str] = []
    for part in _PARTS:
        if part not in lower or not _mostly(frame[lower[part]], r"^\d{1,4}(\.0)?$"):
            break
        parts.append(lower[part])
    return parts if len(parts) > 1 else []


def _mostly(column: pl.Series, pattern: str) -> bool:
    """Return whether at least half of the first values match a pattern."""
    looks = as_text(column.drop_nulls().head(1000)).str.contains(pattern)
    return len(looks) > 0 and 2 * int(looks.sum()) >= len(looks)


def read_times(frame: pl.DataFrame, time: str | None) -> tuple[Array, tuple[str, ...]]:
    """Return times as datetime64[us] [N], or row numbers without a time column; and notes.

    Raises:
        UserError: a time is missing or unreadable (the error names the line), or only some times
            have a zone.
    """
    if time is None:
        return np.arange(frame.height), ()
    if time not in frame.columns:
        return _from_parts(frame, time.split(",")), ()
    column = frame[time]
    _refuse_missing(column)
    if column.dtype in (pl.Date, pl.Datetime):
        return _from_temporal(column)
    text = as_text(column)
    if text.str.contains(_YEAR).all():
        return _to_array((text + "-01-01").str.to_datetime("%Y-%m-%d")), ()
    return _from_text(text)


def _refuse_missing(column: pl.Series) -> None:
    rule = f"Each row must have a time in {column.name!r}."
    refuse_null(column, rule, lambda row: "has none.", "Fill in the time, or remove the row.")


def _from_temporal(column: pl.Series) -> tuple[Array, tuple[str, ...]]:
    zone = getattr(column.dtype, "time_zone", None)
    if zone and (column.dt.time() == time(0)).all():
        return _to_array(column.dt.replace_time_zone(None)), (f"dates in {zone}",)
    if zone:
        return _to_array(column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)), (
            f"times in {zone} were converted to UTC",
        )
    return _to_array(column.cast(pl.Datetime("us"))), ()


def _to_array(column: pl.Series) -> Array:
    values: Array = column.cast(pl.Datetime("us")).to_numpy().astype("datetime64[us]")
    return values


def _from_text(text: pl.Series) -> tuple[Array, tuple[str, ...]]:
    zoned = text.str.contains(_ZONE) & text.str.contains(":")
    if not zoned.any():
        return _to_array(_local(text)), ()
    if not zoned.all():
        row = int((~zoned).arg_max() or 0)
        raise RowError(
            "All times must have a time zone, or none.",
            row,
            f"({text[row]!r}) has none; others have one.",
            "Write all times in one zone.",
        )
    clock = text.str.replace(_ZONE, "")
    if clock.str.contains(r"[ T]00:00(:00(\.0+)?)?$").all():
        return _to_array(_local(clock)), ("midnights with a zone count as dates",)
    iso = text.str.replace(" ", "T", literal=True).str.replace("Z$", "+00:00")
    parsed, minutes = (
        iso.str.to_datetime(form, strict=False, time_zone="UTC", time_unit="us") for form in _ZONED
    )
    parsed = parsed.zip_with(parsed.is_not_null(), minutes)
    _refuse_unread(text, parsed)
    return _to_array(parsed.dt.replace_time_zone(None)), ("times with a zone were converted to UTC",)


def _local(text: pl.Series) -> pl.Series:
    """Parse times in the one format that reads every value; day and month must not be ambiguous."""
    tried = []
    for form in _FORMATS:
        tried.append(_try(text, form))
        if not tried[-1].null_count():
            return tried[-1]
    slashed = [_try(text, form) for form in _SLASHED]
    fits = [parsed for parsed in slashed if not parsed.null_count()]
    if len(fits) > 1 and not fits[0].equals(fits[1]):
        raise UserError(
            "Dates must not be ambiguous.",
            f"{text[0]!r} may be day/month or month/day, and so may all others in the file.",
            "Write the dates as YYYY-MM-DD.",
        )
    best = min((*fits, *tried, *slashed), key=lambda parsed: parsed.null_count())
    _refuse_unread(text, best)
    return best


def _try(text: pl.Series, form: str) -> pl.Series:
    fits = text.str.contains({"%Y-%m": r"^\d{4}-\d{1,2}$", "%Y%m%d": r"^[12]\d{7}$"}.get(form, _DATE))
    day = "-01" if form == "%Y-%m" else ""
    return (
        (text + day)
        .set(~fits, None)
        .str.to_datetime(form + ("-%d" if day else ""), strict=False, time_unit="us")
    )


def _refuse_unread(text: pl.Series, parsed: pl.Series) -> None:
    rule = f"Times in {text.name!r} must be dates such as 2024-05-31 or 2024-05-31 13:00:00."
    fix = "Correct that field, or name another --time column."
    refuse_null(parsed, rule, lambda row: f"has {text[row]!r}.", fix)


def _from_parts(frame: pl.DataFrame, names: list[str]) -> Array:
    """Join columns of year, month, day, ... into datetime64[us]; a missing day is the first."""
    for name in names:
        _refuse_missing(frame[name])
    parts = pl.DataFrame({name.lower(): _whole(frame[name]) for name in names})
    day = pl.col("day") if "day" in parts.columns else pl.lit(1)
    clock = [pl.col(p) for p in _PARTS[3:] if p in parts.columns]
    try:
        joined = parts.select(pl.datetime(pl.col("year"), pl.col("month"), day, *clock)).to_series()
    except pl.exceptions.PolarsError:
        joined = pl.Series([None] * frame.height, dtype=pl.Datetime("us"))
    rule = f"The columns {', '.join(names)} must form a valid time."
    refuse_null(
        joined, rule, lambda row: f"has {', '.join(str(frame[n][row]) for n in names)}.", "Correct that line."
    )
    return _to_array(joined)


def _whole(column: pl.Series) -> pl.Series:
    """Convert a column to whole numbers; anything else becomes null."""
    numbers = as_text(column).cast(pl.Float64, strict=False)
    return numbers.set(numbers != numbers.floor(), None).cast(pl.Int64, strict=False)
