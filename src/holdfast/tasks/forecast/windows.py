"""All series of a file as one scaled table, and the windows that are cut from it.

Letters: N rows of all series, S series, W windows, L look-back, h horizon, C target channels, F features,
K known future features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from holdfast._typing import Array
from holdfast.data.tabular.calendar_features import calendar_features
from holdfast.data.tabular.frequency import Frequency
from holdfast.data.tabular.series import Panel, Series
from holdfast.errors import UserError
from holdfast.tasks.forecast.preprocessing import Scale, Schema


@dataclass(frozen=True)
class Rows:
    """Every series of a panel, one after the other, on the scale of its training rows.

    Attributes:
        panel: where the rows came from.
        schema: columns and scales.
        first: row at which each series starts, and N at the end [S + 1].
        targets: [N, C], NaN where missing.
        filled: [N, C], the last seen value where missing.
        features: [N, F]: filled targets, past and known covariates, calendar, and gaps where the schema has them.
        known: [N, K]: known covariates and calendar.
        prices: the last price of each series and target [S, C] where returns are forecast, otherwise None.
    """

    panel: Panel
    schema: Schema
    first: Array
    targets: Tensor
    filled: Tensor
    features: Tensor
    known: Tensor
    prices: Array | None = None

    def mean(self, series: Array) -> Array:
        """Means of the targets for the series of each window: [W] -> [W, 1, C]."""
        return self._scales("mean", series)

    def std(self, series: Array) -> Array:
        """Standard deviations of the targets for the series of each window: [W] -> [W, 1, C]."""
        return self._scales("std", series)

    def mase(self, series: Array) -> Array:
        """MASE's scale of the targets for the series of each window: [W] -> [W, 1, C]."""
        return self._scales("mase", series)

    def _scales(self, name: str, series: Array) -> Array:
        targets = len(self.schema.targets)
        table = np.array([getattr(self.schema.scale(s.name), name)[:targets] for s in self.panel.series])
        scales: Array = table[series][:, None, :]
        return scales


@dataclass(frozen=True)
class Part:
    """Windows of some rows: window w reads the L rows before ``origins[w]`` and forecasts the h rows from there.

    Attributes:
        rows: the table.
        origins: [W] row numbers.
        series: [W] number of each window's series.
        horizon: h.
    """

    rows: Rows
    origins: Array
    series: Array
    horizon: int

    def __len__(self) -> int:
        return len(self.origins)

    def past(self, windows: Tensor) -> Tensor:
        """Features of the look-back: [B] window numbers -> [B, L, F]."""
        starts = torch.from_numpy(self.origins)[windows] - self.rows.schema.lookback
        return _cut(self.rows.features, starts, self.rows.schema.lookback)

    def known(self, windows: Tensor) -> Tensor:
        """What is known of the future: [B] -> [B, h, K]."""
        return _cut(self.rows.known, torch.from_numpy(self.origins)[windows], self.horizon)

    def truth(self, windows: Tensor) -> Tensor:
        """The targets to forecast, NaN where missing: [B] -> [B, h, C]."""
        return _cut(self.rows.targets, torch.from_numpy(self.origins)[windows], self.horizon)

    def unscale(self, values: Array) -> Array:
        """From the network's scale to the columns' units: [W, h, C] or [W, h, C, Q]."""
        mean, std = self.rows.mean(self.series), self.rows.std(self.series)
        if values.ndim == 4:
            mean, std = mean[..., None], std[..., None]
        units: Array = values * std + mean
        return units


def _cut(table: Tensor, starts: Tensor, length: int) -> Tensor:
    """Rows ``starts .. starts + length - 1`` of a table: [N, width], [B] -> [B, length, width]."""
    return table[starts[:, None] + torch.arange(length)]


def windows(rows: Rows, spans: list[tuple[int, int]], horizon: int) -> Part:
    """Every window whose forecast lies within the span of its series; its look-back may reach in front of it.

    Args:
        rows: the table.
        spans: for each series the first row and the row behind the last, counted within the series.
        horizon: h.
    """
    origins, series = [], []
    for s, (start, stop) in enumerate(spans):
        first = int(rows.first[s])
        own = np.arange(max(start, rows.schema.lookback), stop - horizon + 1) + first
        origins.append(own)
        series.append(np.full(len(own), s))
    return observed(Part(rows, np.concatenate(origins), np.concatenate(series), horizon))


def observed(part: Part) -> Part:
    """Leave out windows without any observed target to forecast."""
    seen = part.rows.targets.isfinite().any(1).numpy().astype(np.int64)
    total = np.concatenate([[0], np.cumsum(seen)])
    some = total[part.origins + part.horizon] > total[part.origins]
    return Part(part.rows, part.origins[some], part.series[some], part.horizon)


# -- from a panel to rows ----------------------------------------------------------------------------------------


def to_rows(panel: Panel, schema: Schema, prices: Array | None = None, wide: bool = True) -> Rows:
    """Scale a panel by a schema and lay out what the network reads.

    Args:
        panel: series in the units of the file (log returns already taken).
        schema: columns and scales.
        prices: passed on.
        wide: False where the network reads the targets only.
    """
    scaled = [_scale(series, schema.scale(series.name)) for series in panel.series]
    filled = [fill(values) for values in scaled]
    if prices is not None:
        scales = [schema.scale(series.name) for series in panel.series]
        filled = [_stand_still(*own) for own in zip(filled, scaled, scales, strict=True)]
    count, known_from = len(schema.targets), len(schema.targets) + len(schema.past)
    dates = [calendar_features(s.times, panel.frequency)[0] for s in panel.series]
    gaps = [np.isnan(v[:, :count]).astype(np.float32) for v in scaled] if schema.gaps else []
    known = np.concatenate(
        [np.concatenate([f[:, known_from:], d], 1) for f, d in zip(filled, dates, strict=True)]
    )
    whole = np.concatenate(filled)
    wider = [np.concatenate(dates), *([np.concatenate(gaps)] if gaps else [])]
    features = np.concatenate([whole, *wider], 1) if wide else whole[:, :count]
    return Rows(
        panel=panel,
        schema=schema,
        first=np.cumsum([0, *(len(v) for v in scaled)]),
        targets=torch.from_numpy(np.concatenate(scaled)[:, :count]),
        filled=torch.from_numpy(np.ascontiguousarray(whole[:, :count])),
        features=torch.from_numpy(np.ascontiguousarray(features)),
        known=torch.from_numpy(known),
        prices=prices,
    )


def _scale(series: Series, scale: Scale) -> Array:
    scaled: Array = (series.values - np.array(scale.mean)) / np.array(scale.std)
    return scaled.astype(np.float32)


def fill(values: Array) -> Array:
    """Carry the last seen value forward in each column; 0 (the mean of scaled data) before the first: [N, C]."""
    seen = np.where(np.isnan(values), -1, np.arange(len(values))[:, None])
    last = np.maximum.accumulate(seen, 0)
    carried = np.take_along_axis(values, np.maximum(last, 0), 0)
    filled: Array = np.where(last < 0, 0.0, carried)
    return filled


def _stand_still(filled: Array, values: Array, scale: Scale) -> Array:
    """Scaled returns with zero in their own unit where there is none: the price stays what it was."""
    count = len(scale.mase)
    zero = -np.array(scale.mean[:count]) / np.array(scale.std[:count])
    still: Array = filled.copy()
    still[:, :count] = np.where(np.isnan(values[:, :count]), zero, values[:, :count])
    return still


def to_returns(panel: Panel) -> tuple[Panel, Array]:
    """Prices -> log returns of the targets, and each series' last price [S, C].

    ``r_t = ln(p_t / p_s)`` with s the last row before t that has a price: the return of a row behind a gap is that over
    the whole gap, so that returns summed up from any price give the later ones. The first row of each series, which
    has none, goes.

    Raises:
        UserError: a price that is not positive.
    """
    count = len(panel.columns.targets)
    series, last = [], []
    for s in panel.series:
        prices = s.values[:, :count].astype(np.float64)
        if (prices <= 0).any():
            row = int(np.argwhere((prices <= 0).any(1))[0, 0])
            raise UserError(
                "Log returns need positive prices.",
                f"At {s.times[row]} a target of series {s.name!r} is {prices[row].min():g}."
                if s.name
                else f"At {s.times[row]} a target is {prices[row].min():g}.",
                "Leave --returns out, or mend that row.",
            )
        before = fill(np.log(prices))[:-1]
        unseen = np.cumsum(~np.isnan(prices), 0)[:-1] == 0
        returns = np.where(unseen, np.nan, np.log(prices[1:]) - before)
        series.append(Series(s.name, s.times[1:], np.concatenate([returns, s.values[1:, count:]], 1)))
        last.append(fill(prices)[-1])
    return Panel(tuple(series), panel.columns, panel.frequency, panel.notes), np.array(last)


def when(time: object) -> str:
    """A time to the minute, a row number as it is."""
    return str(time)[:16].replace("T", " ").removesuffix(" 00:00")


def widths(rows: Rows) -> tuple[int, int]:
    """F and K: what the network reads of each past and of each future step."""
    return rows.features.size(1), rows.known.size(1)


def feature_widths(schema: Schema, wide: bool) -> tuple[int, int]:
    """The same from a schema alone, for a network that is loaded."""
    frequency = Frequency.parse(schema.frequency)
    start = np.array([0]) if schema.time is None else np.array(["2000-01-01"], "datetime64[us]")
    dates = calendar_features(start, frequency)[0].shape[1]
    features = len(schema.columns) + dates + len(schema.targets) * schema.gaps
    return features if wide else len(schema.targets), len(schema.known) + dates
