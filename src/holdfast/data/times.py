"""The time column: found or named, read from text, checked."""

from __future__ import annotations

import re

import numpy as np
import polars as pl

from holdfast.data.table import require
from holdfast.errors import UserError

Array = np.ndarray

NAMES = ("date", "datetime", "time", "timestamp", "ds", "month", "day", "week", "year", "period")
PARTS = ("year", "month", "day", "hour", "minute")
FORMATS = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%Y-%m",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
)
SLASHED = ("%d/%m/%Y", "%m/%d/%Y", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M")
_ZONE = re.compile(r"(Z|[+-]\d{2}:?\d{2})$")


def find_time(frame: pl.DataFrame, named: str | None) -> tuple[str | None, tuple[str, ...]]:
    """The time column's name, or its parts joined by commas, and what to tell of the choice.

    A column of dates is taken by its type, or by its name and first value; else the parts year, month, day (hour,
    minute); else there is none, and rows are numbered.
    """
    if named is not None:
        for part in named.split(","):
            require(frame, part, "time column")
        return named, ()
    lower = {name.lower(): name for name in frame.columns}
    parts = [lower[p] for p in PARTS if p in lower]
    if {"year", "month", "day"} <= lower.keys():
        return ",".join(parts), (f"time is put together from the columns {', '.join(parts)}",)
    candidates = [n for n in frame.columns if frame[n].dtype in (pl.Date, pl.Datetime)]
    candidates += [
        lower[n] for n in NAMES if n in lower and lower[n] not in candidates and _reads(frame[lower[n]])
    ]
    candidates += [
        n for n in frame.columns if n not in candidates and frame[n].dtype == pl.String and _dated(frame[n])
    ]
    if not candidates:
        return None, ("no time column found: rows are taken as evenly spaced (name it with --time)",)
    others = f" (also possible: {', '.join(candidates[1:])})" if len(candidates) > 1 else ""
    return candidates[0], (f"time column found: {candidates[0]!r}{others}",)


def _first(column: pl.Series) -> str | None:
    values = column.drop_nulls().head(1)
    return str(values[0]) if len(values) else None


def _reads(column: pl.Series) -> bool:
    first = _first(column)
    if first is None:
        return False
    local = _ZONE.sub("", first) if ":" in first else first
    return _parse(pl.Series([local])) is not None or bool(re.fullmatch(r"[12]\d{3}", first))


def _dated(column: pl.Series) -> bool:
    """Whether the first value is a full date: a plain number or a bare month is not enough without a name."""
    first = _first(column)
    return first is not None and bool(re.match(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}", first)) and _reads(column)


def read_times(frame: pl.DataFrame, time: str | None) -> tuple[Array, tuple[str, ...]]:
    """Times as datetime64[us] [N], or row numbers where there is no time column; and what to tell.

    Raises:
        UserError: a time that is missing or cannot be read (the line is named), or times with and without a zone.
    """
    if time is None:
        return np.arange(frame.height), ()
    if "," in time:
        return _from_parts(frame, time.split(",")), ()
    column = frame[time]
    _refuse_missing(column)
    if column.dtype.is_temporal():
        return _from_temporal(column)
    text = column.cast(pl.String)
    if text.str.contains(r"^[12]\d{3}$").all():
        return _to_array((text + "-01-01").str.to_datetime("%Y-%m-%d")), ()
    return _from_text(text)


def _refuse_missing(column: pl.Series) -> None:
    if column.null_count():
        row = int(column.is_null().arg_max() or 0)
        raise UserError(
            f"Each row has its time in {column.name!r}.", f"Line {row + 2} has none.", "Fill or remove it."
        )


def _from_temporal(column: pl.Series) -> tuple[Array, tuple[str, ...]]:
    zone = getattr(column.dtype, "time_zone", None)
    if zone:
        return _to_array(column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)), (
            f"times in {zone} were taken to UTC",
        )
    return _to_array(column.cast(pl.Datetime("us"))), ()


def _to_array(column: pl.Series) -> Array:
    values: Array = column.cast(pl.Datetime("us")).to_numpy().astype("datetime64[us]")
    return values


def _from_text(text: pl.Series) -> tuple[Array, tuple[str, ...]]:
    zoned = text.str.contains(_ZONE.pattern) & text.str.contains(":")
    if zoned.any() and not zoned.all():
        row = int((~zoned).arg_max() or 0)
        raise UserError(
            "Either all times carry a time zone or none does.",
            f"Line {row + 2} ({text[row]!r}) carries none; others do.",
            "Write all of them in one zone.",
        )
    if zoned.all():
        iso = text.str.replace(" ", "T", literal=True).str.replace("Z$", "+00:00")
        parsed = iso.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", strict=False, time_zone="UTC", time_unit="us")
        if parsed.null_count():
            parsed = iso.str.to_datetime("%Y-%m-%dT%H:%M%z", strict=False, time_zone="UTC", time_unit="us")
        _refuse_unread(text, parsed)
        return _to_array(parsed.dt.replace_time_zone(None)), ("times with a zone were taken to UTC",)
    read = _parse(text)
    if read is None:
        read = max((_try(text, form) for form in FORMATS), key=lambda times: times.len() - times.null_count())
        _refuse_unread(text, read)
    return _to_array(read), ()


def _parse(text: pl.Series) -> pl.Series | None:
    """The one format that reads every value, or None; day/month against month/day must be beyond doubt."""
    for form in FORMATS:
        parsed = _try(text, form)
        if not parsed.null_count():
            return parsed
    fits = [parsed for parsed in (_try(text, form) for form in SLASHED) if not parsed.null_count()]
    if len(fits) > 1 and not fits[0].equals(fits[1]):
        raise UserError(
            "Dates must be beyond doubt.",
            f"{text[0]!r} may be day/month or month/day throughout the file.",
            "Write them as YYYY-MM-DD.",
        )
    return fits[0] if fits else None


def _try(text: pl.Series, form: str) -> pl.Series:
    if form == "%Y-%m":
        fits = text.str.contains(r"^\d{4}-\d{1,2}$")
        return (text + "-01").set(~fits, None).str.to_datetime("%Y-%m-%d", strict=False, time_unit="us")
    return text.str.to_datetime(form, strict=False, time_unit="us")


def _refuse_unread(text: pl.Series, parsed: pl.Series) -> None:
    if parsed.null_count():
        row = int(parsed.is_null().arg_max() or 0)
        raise UserError(
            f"Times in {text.name!r} are dates such as 2024-05-31 or 2024-05-31 13:00:00.",
            f"Line {row + 2} has {text[row]!r}.",
            "Mend that field, or name another --time column.",
        )


def _from_parts(frame: pl.DataFrame, names: list[str]) -> Array:
    """Year, month, day, hour, minute in columns of their own -> datetime64[us]."""
    for name in names:
        _refuse_missing(frame[name])
    numbers = {n.lower(): frame[n].cast(pl.Int64, strict=False) for n in names}
    whole = pl.DataFrame(numbers)
    try:
        joined = whole.select(pl.datetime(*(pl.col(p) for p in PARTS if p in numbers))).to_series()
    except pl.exceptions.PolarsError:
        joined = pl.Series([None] * frame.height, dtype=pl.Datetime("us"))
    if joined.null_count():
        row = int(joined.is_null().arg_max() or 0)
        raise UserError(
            f"The columns {', '.join(names)} make a time.",
            f"Line {row + 2} has {', '.join(str(frame[n][row]) for n in names)}.",
            "Mend that line.",
        )
    return _to_array(joined)
