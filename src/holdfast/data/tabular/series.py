"""Regular time series from a table: columns by role, checked times, and gaps as NaN."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from holdfast._typing import Array
from holdfast.data.tabular.frequency import Frequency, grid, grid_length, infer
from holdfast.data.tabular.table import (
    as_text,
    name_lines,
    numeric_column,
    read_table,
    refuse_null,
    require_column,
)
from holdfast.data.tabular.timestamps import find_time, read_times
from holdfast.errors import UserError
from holdfast.files import listed

_Groups = list[tuple[str, Array]]

_MOST_GAPS = 100
"""Largest number of grid rows for each row of the file; beyond it the frequency or a time must be
wrong."""


@dataclass(frozen=True)
class Columns:
    """Column names by role.

    Attributes:
        targets: the columns to forecast.
        time: the time column, or its parts joined by commas (``"year,month,day,hour"``); None:
            found automatically.
        series: the column that names the series, for several series in one file.
        past: covariates known up to the present.
        known: covariates known in advance.
    """

    targets: tuple[str, ...]
    time: str | None = None
    series: str | None = None
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()

    @property
    def values(self) -> tuple[str, ...]:
        """The numeric columns: targets, past and known covariates."""
        return self.targets + self.past + self.known


@dataclass(frozen=True)
class Series:
    """One series, sorted by time.

    ``times`` [N] are datetime64[us], or row numbers from 0 if the file has no time. ``values`` are
    float64 [N, C], NaN where missing; the C columns are targets, past and known covariates.
    """

    name: str
    times: Array
    values: Array


@dataclass(frozen=True)
class Panel:
    """All series of a file, their frequency, and notes for the user."""

    series: tuple[Series, ...]
    columns: Columns
    frequency: Frequency
    notes: tuple[str, ...]


def read_panel(path: Path, columns: Columns, *, frequency: str | None = None, sort: bool = False) -> Panel:
    """Read a file into regular series; rows missing from the time grid become NaN and are noted.

    Args:
        path: a CSV or Parquet file.
        columns: column names by role.
        frequency: the step between rows, such as ``"1h"``; None: inferred.
        sort: sort by time instead of refusing an unsorted file.

    Raises:
        UserError: the file, its columns or its times break a rule.
    """
    frame = read_table(path)
    with name_lines(path):
        columns, times, values, groups, notes = _read_columns(frame, columns)
    raw = [_series(n, times[rows], values[rows], columns, sort) for n, rows in groups]
    more = ("rows were sorted by time",) if any(_back(times[rows]).any() for _, rows in groups) else ()
    step = Frequency.parse(frequency) if frequency else _common_frequency(raw)
    series = tuple(_regular(s, step) for s in raw)
    gaps = _gap_notes(raw, series, columns)
    all_notes = (*notes, *more, *_step_note(step, columns.time, bool(frequency)), *gaps)
    return Panel(series, columns, step, all_notes)


def _read_columns(
    frame: pl.DataFrame, columns: Columns
) -> tuple[Columns, Array, Array, _Groups, tuple[str, ...]]:
    """Return columns with the time column, times [N], values [N, C], rows by series, notes."""
    time, notes = find_time(frame, columns.time)
    columns = replace(columns, time=time)
    _check_roles(columns)
    names, count = columns.values, len(columns.targets)
    roles = ["target"] * count + ["covariate"] * (len(names) - count)
    values = np.stack([numeric_column(frame, n, f"{r} column") for n, r in zip(names, roles, strict=True)], 1)
    times, more = read_times(frame, time)
    groups = _split(frame, columns.series)
    return columns, times, values, groups, (*notes, *more, *_unused(frame, columns))


def _unused(frame: pl.DataFrame, columns: Columns) -> list[str]:
    used = {*columns.values, columns.time, columns.series, *(columns.time or "").split(",")}
    left = [name for name in frame.columns if name not in used]
    return [f"not used: {listed(left)} (--past or --known makes a column an input)"] if left else []


def _check_roles(columns: Columns) -> None:
    if not columns.targets:
        raise UserError("A forecast must have a target.", "No column was named.", "Name one with --target.")
    time = () if columns.time is None else tuple(columns.time.split(","))
    own = () if columns.series is None else (columns.series,)
    names = [*columns.targets, *columns.past, *columns.known, *time, *own]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(
            "A column must have one role only: target, past, known, time or series.",
            f"These have more than one: {', '.join(twice)}.",
            "Name each column once.",
        )


def _split(frame: pl.DataFrame, name: str | None) -> list[tuple[str, Array]]:
    """Return the name and the row numbers of each series, in order of their first rows."""
    if name is None:
        return [("", np.arange(frame.height))]
    labels = as_text(require_column(frame, name, "series column"))
    rule = f"Each row must name its series in {name!r}."
    refuse_null(labels, rule, lambda row: "does not.", "Fill in that field.")
    rows = pl.DataFrame({"label": labels, "row": np.arange(frame.height)})
    grouped = rows.group_by("label", maintain_order=True).agg("row")
    return [(label, part.to_numpy()) for label, part in zip(grouped["label"], grouped["row"], strict=True)]


def _series(name: str, times: Array, values: Array, columns: Columns, sort: bool) -> Series:
    label = f"series {name!r}" if name else "file"
    if len(times) < 2:
        rule = "A series must have at least 2 rows."
        raise UserError(rule, f"The {label} has {len(times)}.", "Give more data.")
    if times.dtype.kind != "M":
        return Series(name, np.arange(len(times)), values)
    _refuse_twice(times, label, columns)
    back = _back(times)
    if back.any() and not sort:
        row = int(back.argmax())
        raise UserError(
            "Rows must be in order of time.",
            f"In the {label} {_text(times[row + 1])} comes after {_text(times[row])}.",
            "Sort the file, or give --sort.",
        )
    order = np.argsort(times)
    return Series(name, times[order], values[order])


def _back(times: Array) -> Array:
    """Return where the next row's time is earlier [N - 1]."""
    earlier: Array = times[1:] < times[:-1]
    return earlier


def _refuse_twice(times: Array, label: str, columns: Columns) -> None:
    found, counts = np.unique(times, return_counts=True)
    if (counts == 1).all():
        return
    fix = "" if columns.series else ", or name the column of the series with --series"
    raise UserError(
        "Each time must occur once in a series.",
        f"In the {label} {_text(found[counts.argmax()])} occurs {_times(int(counts.max()))}.",
        f"Remove all but one{fix}. If clocks were set back, write the times with their zone.",
    )


def _times(count: int) -> str:
    return "twice" if count == 2 else f"{count} times"


def _text(time: np.datetime64) -> str:
    return str(time.astype("datetime64[s]")).replace("T", " ")


def _common_frequency(raw: list[Series]) -> Frequency:
    """Return the step that most series have; without times, rows count as steps."""
    if raw[0].times.dtype.kind != "M":
        return Frequency("step")
    found = [infer(s.times) for s in raw]
    return max(found, key=found.count)


def _regular(series: Series, frequency: Frequency) -> Series:
    """Return the series on the full grid, NaN where the file has no row."""
    if series.times.dtype.kind != "M" or frequency.unit == "step":
        return series
    length = grid_length(series.times, frequency)
    if length > _MOST_GAPS * len(series.times):
        raise UserError(
            "The frequency must fit the times.",
            f"From {_text(series.times[0])} to {_text(series.times[-1])} a row every {frequency} makes {length:,} "
            f"rows, but the file has {len(series.times):,}{_in(series)}.",
            "Correct a wrong time, give a longer --frequency, or use --frequency rows to count each row as one step.",
        )
    whole = grid(series.times, frequency)
    off = ~np.isin(series.times, whole)
    if off.any():
        raise UserError(
            f"Every time must lie on a grid of {frequency}.",
            f"{_text(series.times[off.argmax()])} does not{_in(series)}.",
            "Give the right --frequency, or use --frequency rows to count each row as one step.",
        )
    if len(whole) == len(series.times):
        return series
    values = np.full((len(whole), series.values.shape[1]), np.nan)
    values[np.searchsorted(whole, series.times)] = series.values
    return Series(series.name, whole, values)


def _in(series: Series) -> str:
    return f" in series {series.name!r}" if series.name else ""


def _step_note(frequency: Frequency, time: str | None, given: bool) -> tuple[str, ...]:
    if time is None or given:
        return ()
    if frequency.unit == "step":
        return ("the times are not evenly spaced: each row counts as one step (--frequency sets a grid)",)
    return (f"one row every {frequency}",)


def _gap_notes(raw: list[Series], series: tuple[Series, ...], columns: Columns) -> list[str]:
    notes = []
    inserted = sum(len(s.times) - len(p.times) for s, p in zip(series, raw, strict=True))
    if inserted:
        pair = next((s, p) for s, p in zip(series, raw, strict=True) if len(s.times) > len(p.times))
        first = pair[0].times[~np.isin(pair[0].times, pair[1].times)][0]
        notes.append(
            f"{inserted} missing {'row was' if inserted == 1 else 'rows were'} inserted as gaps, "
            f"the first at {_text(first)}"
        )
    for column, name in enumerate(columns.values):
        missing = sum(int(np.isnan(p.values[:, column]).sum()) for p in raw)
        how = "" if name in columns.targets else ": replaced by the last known value"
        if missing:
            notes.append(f"{missing} missing value{'s' * (missing > 1)} in {name!r}{how}")
    return notes
