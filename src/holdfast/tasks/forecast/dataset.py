"""From files to training, validation and test windows, with everything fitted on the training rows only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from holdfast._typing import Array
from holdfast.data.tabular.frequency import find_season
from holdfast.data.tabular.series import Columns, Panel, Series, read_panel
from holdfast.errors import UserError
from holdfast.files import listed
from holdfast.tasks.forecast.config import DataConfig, ForecastConfig
from holdfast.tasks.forecast.metrics import seasonal_scale
from holdfast.tasks.forecast.preprocessing import Scale, Schema
from holdfast.tasks.forecast.windows import Part, Rows, fill, to_returns, to_rows, windows

Span = tuple[int, int]

FEW = 30
"""Windows below which a part is called small."""

TRAINED_ONCE = (
    "returns: trained once, then forecast forward through the test part; "
    "holdfast backtest trains anew before each block of it"
)
"""What is told of prices wherever one training run is scored."""


@dataclass(frozen=True)
class Prepared:
    """Windows of the three parts (``test`` may have none), the schema, and what the user should be told."""

    train: Part
    valid: Part
    test: Part | None
    schema: Schema
    notes: tuple[str, ...]

    @property
    def digest(self) -> str:
        """By which the same windows are known again."""
        return self.schema.digest

    def fraction(self, share: float) -> Prepared:
        """The same with only the latest share of the training windows of each series, to see what less data does."""
        numbers = [np.flatnonzero(self.train.series == s) for s in np.unique(self.train.series)]
        kept = np.concatenate([own[-max(1, round(len(own) * share)) :] for own in numbers])
        train = replace(self.train, origins=self.train.origins[kept], series=self.train.series[kept])
        return replace(self, train=train)


def prepare(
    config: ForecastConfig, data: Path, valid: Path | None = None, test: Path | None = None
) -> Prepared:
    """Read the training file (and the others, where given) and cut it into windows.

    Without ``valid`` and ``test`` files the parts are cut from ``data`` in order of time by ``config.data.split``.

    Raises:
        UserError: for everything that is wrong with a file, and for series too short for the windows asked for.
    """
    panel, prices = read(data, config.data)
    spans = _spans(panel, config.data, (valid is not None, test is not None))
    schema = _fit_schema(panel, [s[0] for s in spans], config)
    rows = to_rows(panel, schema, prices, wide=config.network.model == "recurrent")
    parts = {
        "training": windows(rows, [s[0] for s in spans], config.horizon),
        "validation": _part(valid, rows, [s[1] for s in spans], config),
        "test": _part(test, rows, [s[2] for s in spans], config),
    }
    for name in ("training", "validation"):
        _require(parts[name], name, config, schema)
    test_part = parts["test"] if len(parts["test"]) else None
    return Prepared(
        parts["training"],
        parts["validation"],
        test_part,
        replace(schema, digest=_digest(parts.values())),
        (*panel.notes, *_notes(config, schema, parts)),
    )


def _digest(parts: Iterable[Part]) -> str:
    """SHA-256 of all that training, validation and scoring read."""
    found = sha256()
    for part in parts:
        found.update(repr(part.rows.schema).encode())
        for series in part.rows.panel.series:
            found.update(series.times.tobytes())
        for array in (part.rows.features, part.rows.targets, part.rows.known):
            found.update(array.numpy().tobytes())
        found.update(part.origins.astype(np.int64).tobytes())
    return found.hexdigest()


def _notes(config: ForecastConfig, schema: Schema, parts: Mapping[str, Part]) -> Iterator[str]:
    """What was found or chosen in place of the user, and what the figures are not."""
    if config.data.season is None and not config.data.returns:
        yield f"season found: {schema.season} steps" if schema.season > 1 else "no season found"
    if config.lookback is None:
        yield f"look-back chosen: {schema.lookback} steps"
    left = set(schema.scales) - {
        parts["training"].rows.panel.series[k].name for k in set(parts["training"].series)
    }
    if left:
        yield f"series too short for a training window, but scored: {listed(sorted(left))}"
    for name, part in parts.items():
        if 0 < len(part) < FEW:
            yield f"the {name} part has {len(part)} windows: what is learnt or measured on them says little"
    if not len(parts["test"]):
        yield "no test rows: the figures are those of the validation part"
    if config.data.returns:
        yield TRAINED_ONCE


def read(path: Path, data: DataConfig, schema: Schema | None = None) -> tuple[Panel, Array | None]:
    """A panel as the network takes it: log returns where asked for, and the last prices with them."""
    columns = Columns(
        targets=data.target,
        time=data.time if schema is None else schema.time,
        series=data.series,
        past=data.past,
        known=data.known,
    )
    frequency = data.frequency if schema is None else schema.frequency
    panel = _missing(read_panel(path, columns, frequency=frequency, sort=data.sort), data)
    return to_returns(panel) if data.returns else (panel, None)


def rows_for(path: Path, config: ForecastConfig, schema: Schema) -> Rows:
    """Rows of another file, by a schema that was fitted before."""
    panel, prices = read(path, config.data, schema)
    for series in panel.series:
        schema.scale(series.name)
    return to_rows(panel, schema, prices, wide=config.network.model == "recurrent")


def _missing(panel: Panel, data: DataConfig) -> Panel:
    """Gaps in the targets as ``missing`` says; ``mask`` leaves them for the loss and the score to leave out."""
    count = len(panel.columns.targets)
    gaps = sum(int(np.isnan(s.values[:, :count]).sum()) for s in panel.series)
    if gaps == 0 or data.missing == "mask":
        return panel
    if data.missing == "error":
        raise UserError(
            "With --missing error a target has no gaps.",
            f"There are {gaps} missing values.",
            "Mend them, or take --missing mask or --missing fill.",
        )
    series = tuple(replace(s, values=_fill_targets(s, count)) for s in panel.series)
    return replace(
        panel, series=series, notes=(*panel.notes, f"{gaps} missing targets filled with the last value")
    )


def _fill_targets(series: Series, count: int) -> Array:
    first = np.isnan(series.values[:, :count]).all(1).argmin()
    filled = fill(series.values[:, :count])
    filled[:first] = np.nan
    return np.concatenate([filled, series.values[:, count:]], 1)


# -- parts ------------------------------------------------------------------------------------------------------


def _spans(panel: Panel, data: DataConfig, own_files: tuple[bool, bool]) -> list[tuple[Span, Span, Span]]:
    """Row ranges of the training, validation and test part of each series.

    Several series are cut at the same times, so that no part of one is later than a later part of another; where there
    is no time, each is cut by its own rows.
    """
    if panel.columns.time is None:
        return [_ranges(len(s.times), data, own_files, s.name) for s in panel.series]
    times = np.unique(np.concatenate([s.times for s in panel.series]))
    parts = _ranges(len(times), data, own_files, "")
    return [tuple(_within(s.times, times, part) for part in parts) for s in panel.series]  # type: ignore[misc]


def _within(own: Array, times: Array, part: Span) -> Span:
    """The rows of a series whose times are those numbered ``part`` of all times."""
    first, last = (len(own) if n >= len(times) else int(np.searchsorted(own, times[n])) for n in part)
    return first, last


def _ranges(rows: int, data: DataConfig, own_files: tuple[bool, bool], name: str) -> tuple[Span, Span, Span]:
    """Row ranges of the three parts of ``rows`` rows.

    A part that has its own file is empty; the fractions of the others are then stretched to all rows.
    """
    train, valid, test = data.parts()
    edges = np.cumsum([train, 0.0 if own_files[0] else valid, 0.0 if own_files[1] else test])
    if train < 1:
        edges = np.round(edges / (edges[-1] if any(own_files) else 1.0) * rows)
    first, second, last = (int(edge) for edge in edges)
    if last > rows:
        raise UserError(
            "The parts of a split fit into the series.",
            f"The split {data.split} needs {last} rows or times; the {_called(name)} has {rows}.",
            "Give smaller parts, or fractions such as --split 0.7/0.1/0.2.",
        )
    return (0, first), (first, second), (second, last)


def _called(name: str) -> str:
    return f"series {name!r}" if name else "file"


def _part(path: Path | None, rows: Rows, spans: list[Span], config: ForecastConfig) -> Part:
    if path is None:
        return windows(rows, spans, config.horizon)
    return whole_file(rows_for(path, config, rows.schema), config)


def whole_file(rows: Rows, config: ForecastConfig) -> Part:
    """Every window of some rows."""
    return windows(rows, [(0, len(s.times)) for s in rows.panel.series], config.horizon)


def _require(part: Part, name: str, config: ForecastConfig, schema: Schema) -> None:
    if len(part):
        return
    longest = max(len(s.times) for s in part.rows.panel.series)
    raise UserError(
        f"The {name} part needs at least one window of look-back + horizon rows "
        f"({schema.lookback} + {config.horizon}; validation and test may look back into the part before).",
        f"The longest series has {longest} rows, split {config.data.split}.",
        "Give a shorter --horizon or --lookback, another --split, or more data.",
    )


# -- what is fitted ---------------------------------------------------------------------------------------------


def _fit_schema(panel: Panel, spans: list[Span], config: ForecastConfig) -> Schema:
    """Season, look-back and scales from the training rows ``spans`` of each series."""
    train = [
        s.values[start:stop].astype(np.float64) for s, (start, stop) in zip(panel.series, spans, strict=True)
    ]
    season = config.data.season or _season(panel, train, config.data.returns)
    count = len(panel.columns.targets)
    scales = {s.name: _scale(s.name, v, panel, season) for s, v in zip(panel.series, train, strict=True)}
    return Schema(
        targets=panel.columns.targets,
        past=panel.columns.past,
        known=panel.columns.known,
        time=panel.columns.time,
        series=panel.columns.series,
        frequency=panel.frequency.code,
        season=season,
        lookback=config.lookback
        or _lookback(int(np.median([len(v) for v in train])), season, config.horizon),
        gaps=any(bool(np.isnan(v[:, :count]).any()) for v in train),
        scales=scales,
    )


def _season(panel: Panel, train: list[Array], returns: bool) -> int:
    """The season that most series' first target shows; returns are taken to have none."""
    if returns:
        return 1
    found = [find_season(values[:, 0], panel.frequency) for values in train]
    return int(np.bincount(found).argmax())


def _lookback(rows: int, season: int, horizon: int) -> int:
    """Twice the season, at least the horizon and 8 steps, at most a quarter of the (median) training rows."""
    return max(1, min(max(2 * season, horizon, 8), max(rows // 4, season)))


def _scale(name: str, values: Array, panel: Panel, season: int) -> Scale:
    if len(values) == 0 or np.isnan(values).all(0).any():
        columns = panel.columns.targets + panel.columns.past + panel.columns.known
        empty = [c for k, c in enumerate(columns) if np.isnan(values[:, k]).all()]
        raise UserError(
            "Each column needs values in the training part.",
            f"In the {_called(name)} there are none for: {', '.join(empty)}.",
            "Give another --split, or leave that column or series out.",
        )
    std = np.nanstd(values, 0)
    mase = seasonal_scale(values[:, : len(panel.columns.targets)], season)
    constant = std < 1e-9 * np.maximum(1.0, np.abs(np.nanmean(values, 0)))
    return Scale(
        np.nanmean(values, 0).tolist(), np.where(constant, 1.0, std).tolist(), np.asarray(mase).tolist()
    )
