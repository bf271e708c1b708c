"""From files to windows of the training, validation and test split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from holdfast._typing import Array
from holdfast.data.splits import OwnFiles
from holdfast.data.tabular.series import Columns, Panel, Series, read_panel
from holdfast.errors import UserError
from holdfast.files import counted, listed
from holdfast.tasks.dataset import SPLITS, Dataset
from holdfast.tasks.forecast.config import DataConfig, ForecastConfig
from holdfast.tasks.forecast.preprocessing import (
    ForecastDataset,
    ForecastPreprocessing,
    Span,
    WindowSplit,
    cut_windows,
    fill,
    series_name,
)

_FEW = 30
"""Windows below which a split is called small."""

TRAINED_ONCE = (
    "returns: trained once, then tested on the whole test split; "
    "holdfast backtest trains again before each block of it"
)
"""Note on one training run that forecasts prices."""


def read_dataset(
    config: ForecastConfig, data: Path, valid: Path | None = None, test: Path | None = None
) -> ForecastDataset:
    """Read the training file (and the others, where given) and cut it into windows.

    All fitting uses the training rows only. A split without a file of its own is cut from ``data``
    in order of time, by ``config.data.split``.

    Raises:
        UserError: anything is wrong with a file, or the series are too short for the windows.
    """
    panel, prices = read_series(data, config.data)
    spans = list(zip(*_spans(panel, config.data, (valid is not None, test is not None)), strict=True))
    preprocessing = ForecastPreprocessing.fit(_rows(panel, spans[0]), config)
    table = preprocessing.encode(panel, prices, targets_only=config.network.targets_only)
    splits = {
        name: read_whole(path, config, preprocessing) if path else cut_windows(table, own, config.horizon)
        for name, path, own in zip(SPLITS, (None, valid, test), spans, strict=True)
    }
    for name in SPLITS[:2]:
        _require(splits[name], name, config)
    notes = (*panel.notes, *_notes(config, preprocessing, splits))
    return Dataset.of(splits, preprocessing, notes, _digest(splits.values()))


def read_whole(path: Path, config: ForecastConfig, preprocessing: ForecastPreprocessing) -> WindowSplit:
    """Read every window of another file; a file with fewer rows than a window has none."""
    panel, prices = read_series(path, config.data, preprocessing)
    table = preprocessing.encode(panel, prices, targets_only=config.network.targets_only)
    return cut_windows(table, [(0, len(series.times)) for series in panel.series], config.horizon)


def read_series(
    path: Path, data: DataConfig, preprocessing: ForecastPreprocessing | None = None
) -> tuple[Panel, Array | None]:
    """Read a panel; where returns are forecast, as log returns and with the last prices.

    ``preprocessing`` is given for another file than the training file: its time column and
    frequency then apply.
    """
    columns = Columns(
        targets=data.target,
        time=data.time if preprocessing is None else preprocessing.time,
        series=data.series,
        past=data.past,
        known=data.known,
    )
    frequency = data.frequency if preprocessing is None else preprocessing.frequency
    panel = _missing(read_panel(path, columns, frequency=frequency, sort=data.sort), data)
    return to_returns(panel) if data.returns else (panel, None)


def _digest(splits: Iterable[WindowSplit]) -> str:
    """Return the SHA-256 of all that training, validation and scoring read."""
    digest = sha256()
    for split in splits:
        fitted = split.table.preprocessing
        values = ", ".join(f"{f.name}={getattr(fitted, f.name)!r}" for f in fields(fitted))
        digest.update(f"Schema({values}, digest='')".encode())  # as version 0.1.0 named it
        for series in split.table.panel.series:
            digest.update(series.times.tobytes())
        for array in (split.table.features, split.table.targets, split.table.known):
            digest.update(array.numpy().tobytes())
        digest.update(split.origins.astype(np.int64).tobytes())
    return digest.hexdigest()


def _notes(
    config: ForecastConfig, preprocessing: ForecastPreprocessing, splits: Mapping[str, WindowSplit]
) -> Iterator[str]:
    """Yield what was chosen automatically, and what limits the results."""
    season, train = preprocessing.season, splits["training"]
    if config.data.season is None and not config.data.returns:
        yield f"season found: {season} steps" if season > 1 else "no season found"
    if config.lookback is None:
        yield f"look-back chosen: {counted(preprocessing.lookback, 'step')}"
    short = set(preprocessing.scales) - {train.table.panel.series[k].name for k in set(train.series)}
    if short:
        yield f"series too short for a training window, but scored: {listed(sorted(short))}"
    for name, split in splits.items():
        if 0 < len(split) < _FEW:
            count = counted(len(split), "window")
            yield f"the {name} split has only {count}: results based on it are uncertain"
    if not len(splits["test"]):
        yield "there are no test rows: the metrics are those of the validation split"
    if config.data.returns:
        yield TRAINED_ONCE


def _require(split: WindowSplit, name: str, config: ForecastConfig) -> None:
    if len(split):
        return
    table = split.table
    longest = max(len(series.times) for series in table.panel.series)
    lookback, horizon = table.preprocessing.lookback, config.horizon
    earlier = "" if name == "training" else "; the input may begin in the split before"
    raise UserError(
        f"The {name} split must hold a window: {lookback} rows of input and {horizon} to forecast{earlier}.",
        f"The longest series has {longest} rows, split {config.data.split}.",
        "Give a shorter --horizon or --lookback, another --split, or more data.",
    )


# -- gaps and prices -------------------------------------------------------------------------------


def _missing(panel: Panel, data: DataConfig) -> Panel:
    """Treat gaps in the targets as ``missing`` says; ``mask`` keeps them."""
    count = len(panel.columns.targets)
    gaps = sum(int(np.isnan(s.values[:, :count]).sum()) for s in panel.series)
    if gaps == 0 or data.missing == "mask":
        return panel
    if data.missing == "error":
        raise UserError(
            "With --missing error a target must have no gaps.",
            f"The number of missing values is {gaps}.",
            "Fill them in, or give --missing mask or --missing fill.",
        )
    series = tuple(replace(s, values=_fill_targets(s, count)) for s in panel.series)
    note = f"missing targets filled with the last value: {gaps}"
    return replace(panel, series=series, notes=(*panel.notes, note))


def _fill_targets(series: Series, count: int) -> Array:
    first = np.isnan(series.values[:, :count]).all(1).argmin()
    filled = fill(series.values[:, :count])
    filled[:first] = np.nan
    return np.concatenate([filled, series.values[:, count:]], 1)


def to_returns(panel: Panel) -> tuple[Panel, Array]:
    """Return log returns of the target prices, and the last price of each series and target [S, C].

    ``r_t = ln(p_t / p_s)`` with s the last row before t that has a price. After a gap it is the
    return over the whole gap, so that returns summed up from any price give the later prices. The
    first row of each series has no return and is left out.

    Raises:
        UserError: a price is not positive.
    """
    count = len(panel.columns.targets)
    series, last = [], []
    for s in panel.series:
        prices = s.values[:, :count].astype(np.float64)
        if (prices <= 0).any():
            row = int(np.argwhere((prices <= 0).any(1))[0, 0])
            raise UserError(
                "Prices must be positive for log returns.",
                f"In the {series_name(s.name)} a target is {prices[row].min():g} at {s.times[row]}.",
                "Leave --returns out, or correct that row.",
            )
        before = fill(np.log(prices))[:-1]
        unseen = np.cumsum(~np.isnan(prices), 0)[:-1] == 0
        returns = np.where(unseen, np.nan, np.log(prices[1:]) - before)
        series.append(Series(s.name, s.times[1:], np.concatenate([returns, s.values[1:, count:]], 1)))
        last.append(fill(prices)[-1])
    return Panel(tuple(series), panel.columns, panel.frequency, panel.notes), np.array(last)


# -- splits ----------------------------------------------------------------------------------------


def _spans(panel: Panel, data: DataConfig, own: OwnFiles) -> list[tuple[Span, Span, Span]]:
    """Return the row ranges of the training, validation and test split of each series.

    Several series are cut at the same times: no split of one series is later than a later split of
    another. Without times, each is cut by its own rows.
    """
    if panel.columns.time is None:
        return [_ranges(len(s.times), data, own, s.name) for s in panel.series]
    times = np.unique(np.concatenate([s.times for s in panel.series]))
    train, valid, test = _ranges(len(times), data, own, "")
    return [tuple(_within(s.times, times, span) for span in (train, valid, test)) for s in panel.series]  # type: ignore[misc]


def _rows(panel: Panel, spans: Sequence[Span]) -> Panel:
    """Return a panel with some rows of each series."""
    some = [slice(*span) for span in spans]
    return replace(
        panel,
        series=tuple(
            Series(s.name, s.times[own], s.values[own]) for s, own in zip(panel.series, some, strict=True)
        ),
    )


def _within(own: Array, times: Array, span: Span) -> Span:
    """Return the rows of a series whose times are those numbered ``span`` of all times."""
    first, last = (len(own) if n >= len(times) else int(np.searchsorted(own, times[n])) for n in span)
    return first, last


def _ranges(rows: int, data: DataConfig, own: OwnFiles, name: str) -> tuple[Span, Span, Span]:
    """Return the row ranges of the three splits of ``rows`` rows.

    A split with its own file is empty; the fractions of the others are then stretched to all rows.
    """
    train, valid, test = data.split_sizes()
    edges = np.cumsum([train, 0.0 if own[0] else valid, 0.0 if own[1] else test])
    if train < 1:
        edges = np.round(edges / (edges[-1] if any(own) else 1.0) * rows)
    first, second, last = (int(edge) for edge in edges)
    if last > rows:
        raise UserError(
            "The splits must fit into the series.",
            f"--split {data.split} needs {last} rows or times; the {series_name(name)} has {rows}.",
            "Give smaller numbers, or fractions such as --split 0.7/0.1/0.2.",
        )
    return (0, first), (first, second), (second, last)
