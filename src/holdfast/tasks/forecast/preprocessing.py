"""The fitted preprocessing, the scaled table of all series, and windows cut from it.

Letters: N rows of all series, S series, W windows, B windows of a batch, L look-back, h horizon, C
target channels, F features, K known future features, Q quantile levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor

from holdfast._json import JsonMapping, JsonObject
from holdfast._typing import Array
from holdfast.config import from_dict
from holdfast.data.tabular.calendar_features import calendar_features
from holdfast.data.tabular.frequency import Frequency, find_season
from holdfast.data.tabular.series import Panel, Series
from holdfast.errors import UserError, damaged
from holdfast.tasks.dataset import Dataset
from holdfast.tasks.forecast.config import ForecastConfig

Span = tuple[int, int]
"""First row of a series, and the row after the last."""


@dataclass(frozen=True)
class Scale:
    """Scale of one series, fitted on its training rows.

    Its units are those of the columns; of log returns where returns are forecast.

    Attributes:
        mean, std: mean and standard deviation of each column.
        mase: denominator of MASE for each target.
    """

    mean: list[float]
    std: list[float]
    mase: list[float]


@dataclass(frozen=True)
class ForecastPreprocessing:
    """Everything that is fitted on the training rows before the network.

    Attributes:
        targets, past, known: column names by role.
        time, series: the time column and the column that names the series; None where there is
            none.
        frequency: step between rows.
        season, lookback: steps in a season, and steps that the network reads.
        gaps: whether the training rows have missing targets; the network then also reads where they
            are.
        scales: name of a series -> its scale.
    """

    targets: tuple[str, ...]
    past: tuple[str, ...]
    known: tuple[str, ...]
    time: str | None
    series: str | None
    frequency: str
    season: int
    lookback: int
    gaps: bool
    scales: dict[str, Scale]

    @property
    def columns(self) -> tuple[str, ...]:
        """Targets, past and known covariates, in the order of the value array."""
        return self.targets + self.past + self.known

    @classmethod
    def fit(cls, panel: Panel, config: ForecastConfig) -> Self:
        """Fit season, look-back and scales on the training rows of each series.

        Raises:
            UserError: a column of a series has no values there.
        """
        train = [series.values.astype(np.float64) for series in panel.series]
        season = config.data.season or _season(panel, train, config.data.returns)
        count = len(panel.columns.targets)
        rows = int(np.median([len(values) for values in train]))
        return cls(
            targets=panel.columns.targets,
            past=panel.columns.past,
            known=panel.columns.known,
            time=panel.columns.time,
            series=panel.columns.series,
            frequency=panel.frequency.code,
            season=season,
            lookback=config.lookback or _lookback(rows, season, config.horizon),
            gaps=any(bool(np.isnan(values[:, :count]).any()) for values in train),
            scales={
                s.name: _fit_scale(s.name, v, panel, season) for s, v in zip(panel.series, train, strict=True)
            },
        )

    def scale(self, series: str) -> Scale:
        """Return the scale of a series.

        Raises:
            UserError: the series was not in the training file.
        """
        if series not in self.scales:
            known = ", ".join(list(self.scales)[:8])
            raise UserError(
                "Every series must have been in the training file, since each has its own scale.",
                f"The file has a series {series!r}; the training file had: {known or 'none'}.",
                "Train again with that series in the training file.",
            )
        return self.scales[series]

    def encode(self, panel: Panel, prices: Array | None = None, *, targets_only: bool = False) -> SeriesTable:
        """Scale a panel, fill its gaps and lay out what the network reads.

        Args:
            panel: series in the units of the file (log returns already taken).
            prices: last price of each series and target where returns are forecast.
            targets_only: whether the network reads the targets only.
        """
        scales = [self.scale(series.name) for series in panel.series]
        scaled = [
            ((series.values - np.array(own.mean)) / np.array(own.std)).astype(np.float32)
            for series, own in zip(panel.series, scales, strict=True)
        ]
        filled = [fill(values) for values in scaled]
        if prices is not None:
            filled = [_without_moves(*own) for own in zip(filled, scaled, scales, strict=True)]
        count, known_from = len(self.targets), len(self.targets) + len(self.past)
        dates = [calendar_features(s.times, panel.frequency)[0] for s in panel.series]
        gaps = [np.isnan(v[:, :count]).astype(np.float32) for v in scaled] if self.gaps else []
        known = [np.concatenate([f[:, known_from:], d], 1) for f, d in zip(filled, dates, strict=True)]
        whole = np.concatenate(filled)
        extra = [np.concatenate(dates), *([np.concatenate(gaps)] if gaps else [])]
        features = whole[:, :count] if targets_only else np.concatenate([whole, *extra], 1)
        return SeriesTable(
            panel=panel,
            preprocessing=self,
            first=np.cumsum([0, *(len(values) for values in scaled)]),
            targets=torch.from_numpy(np.concatenate(scaled)[:, :count]),
            filled=torch.from_numpy(np.ascontiguousarray(whole[:, :count])),
            features=torch.from_numpy(np.ascontiguousarray(features)),
            known=torch.from_numpy(np.concatenate(known)),
            prices=prices,
        )

    def widths(self, *, targets_only: bool) -> tuple[int, int]:
        """Return F and K: the number of features of a past and of a future step."""
        start = np.array([0]) if self.time is None else np.array(["2000-01-01"], "datetime64[us]")
        dates = calendar_features(start, Frequency.parse(self.frequency))[0].shape[1]
        features = len(self.columns) + dates + len(self.targets) * self.gaps
        return len(self.targets) if targets_only else features, len(self.known) + dates

    def to_dict(self) -> JsonObject:
        """Return everything as values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: JsonMapping, where: Path) -> Self:
        """Rebuild it from :meth:`to_dict`."""
        own = {name: value for name, value in values.items() if name != "digest"}
        try:
            return from_dict(cls, own, str(where))
        except UserError as error:
            raise damaged(where, f"{error.rule} {error.got}") from None


# -- encoded series --------------------------------------------------------------------------------


@dataclass(frozen=True)
class SeriesTable:
    """All series of a panel, one after the other, each on the scale of its training rows.

    Attributes:
        panel: where the rows came from.
        preprocessing: columns and scales.
        first: row at which each series starts, and N at the end [S + 1].
        targets: [N, C], NaN where missing.
        filled: [N, C], the last seen value where missing.
        features: [N, F]: filled targets, past and known covariates, calendar, and gaps where there
            were any.
        known: [N, K]: known covariates and calendar.
        prices: last price of each series and target [S, C] where returns are forecast, otherwise
            None.
    """

    panel: Panel
    preprocessing: ForecastPreprocessing
    first: Array
    targets: Tensor
    filled: Tensor
    features: Tensor
    known: Tensor
    prices: Array | None = None

    def scales(self, name: Literal["mean", "std", "mase"], series: Array) -> Array:
        """Return a field of the targets' scales for each window: [W] series -> [W, 1, C]."""
        targets = len(self.preprocessing.targets)
        scales = [self.preprocessing.scale(s.name) for s in self.panel.series]
        table = np.array([getattr(scale, name)[:targets] for scale in scales])
        found: Array = table[series][:, None, :]
        return found


@dataclass(frozen=True)
class WindowSplit:
    """Windows: window w reads the L rows before ``origins[w]`` and forecasts the h rows from there.

    Attributes:
        table: the series.
        origins: [W] row numbers.
        series: [W] number of each window's series.
        horizon: h.
    """

    table: SeriesTable
    origins: Array
    series: Array
    horizon: int

    def __len__(self) -> int:
        return len(self.origins)

    def select(self, chosen: Array | Sequence[int]) -> WindowSplit:
        """Return some of the windows."""
        chosen = np.asarray(chosen)
        return replace(self, origins=self.origins[chosen], series=self.series[chosen])

    def fraction(self, share: float) -> WindowSplit:
        """Return the latest share of the windows of each series."""
        numbers = [np.flatnonzero(self.series == s) for s in np.unique(self.series)]
        return self.select(np.concatenate([own[-max(1, round(len(own) * share)) :] for own in numbers]))

    def place(self, window: int) -> tuple[Series, int]:
        """Return the series of a window, and the row of it at which the forecast starts."""
        number = int(self.series[window])
        return self.table.panel.series[number], int(self.origins[window] - self.table.first[number])

    def past(self, windows: Tensor) -> Tensor:
        """Return the features of the look-back: [B] window numbers -> [B, L, F]."""
        lookback = self.table.preprocessing.lookback
        return _cut(self.table.features, torch.from_numpy(self.origins)[windows] - lookback, lookback)

    def known(self, windows: Tensor) -> Tensor:
        """Return what is known of the future: [B] -> [B, h, K]."""
        return _cut(self.table.known, torch.from_numpy(self.origins)[windows], self.horizon)

    def truth(self, windows: Tensor) -> Tensor:
        """Return the targets to forecast, NaN where missing: [B] -> [B, h, C]."""
        return _cut(self.table.targets, torch.from_numpy(self.origins)[windows], self.horizon)

    def unscale(self, values: Array) -> Array:
        """Convert from the network's scale to the columns' units: [W, h, C] or [W, h, C, Q]."""
        mean, std = (self.table.scales(name, self.series) for name in ("mean", "std"))
        if values.ndim == 4:
            mean, std = mean[..., None], std[..., None]
        units: Array = values * std + mean
        return units


ForecastDataset = Dataset[WindowSplit, ForecastPreprocessing]


def _cut(table: Tensor, starts: Tensor, length: int) -> Tensor:
    """Return ``length`` rows of a table from each start: [N, width], [B] -> [B, length, width]."""
    return table[starts[:, None] + torch.arange(length)]


def cut_windows(table: SeriesTable, spans: Sequence[Span], horizon: int) -> WindowSplit:
    """Return the windows whose forecast lies in the span of its series and has an observed target.

    The look-back of a window may reach to before the span.
    """
    origins, series = [], []
    for s, (start, stop) in enumerate(spans):
        own = np.arange(max(start, table.preprocessing.lookback), stop - horizon + 1) + int(table.first[s])
        origins.append(own)
        series.append(np.full(len(own), s))
    split = WindowSplit(table, np.concatenate(origins), np.concatenate(series), horizon)
    seen = table.targets.isfinite().any(1).numpy().astype(np.int64)
    total = np.concatenate([[0], np.cumsum(seen)])
    return split.select(total[split.origins + horizon] > total[split.origins])


def time_text(time: object) -> str:
    """Format a time to the minute, or a row number."""
    return str(time)[:16].replace("T", " ").removesuffix(" 00:00")


# -- scales ----------------------------------------------------------------------------------------


def fill(values: Array) -> Array:
    """Repeat the last seen value in the gaps of each column; 0 before the first: [N, C]."""
    seen = np.where(np.isnan(values), -1, np.arange(len(values))[:, None])
    last = np.maximum.accumulate(seen, 0)
    carried = np.take_along_axis(values, np.maximum(last, 0), 0)
    filled: Array = np.where(last < 0, 0.0, carried)
    return filled


def seasonal_scale(train: Array, season: int) -> Array:
    """Return the denominator of MASE for training rows: [N, C] -> [C].

    It is the mean absolute error of the seasonal naive forecast, 0 for a column that repeats itself
    exactly or is shorter than a season.
    """
    if len(train) <= season:
        return np.zeros(train.shape[1])
    error = np.abs(train[season:] - train[:-season])
    seen = ~np.isnan(error)
    total = np.where(seen, error, 0.0).sum(0, dtype=np.float64)
    scale: Array = total / np.maximum(seen.sum(0), 1)
    return scale


def series_name(name: str) -> str:
    """Return a series' name in a sentence."""
    return f"series {name!r}" if name else "file"


def _without_moves(filled: Array, values: Array, scale: Scale) -> Array:
    """Put a return of zero where there is none: the price stays as it was."""
    count = len(scale.mase)
    zero = -np.array(scale.mean[:count]) / np.array(scale.std[:count])
    constant: Array = filled.copy()
    constant[:, :count] = np.where(np.isnan(values[:, :count]), zero, values[:, :count])
    return constant


def _season(panel: Panel, train: Sequence[Array], returns: bool) -> int:
    """Return the season that the first target of most series shows; 1 for returns."""
    if returns:
        return 1
    found = [find_season(values[:, 0], panel.frequency) for values in train]
    return int(np.bincount(found).argmax())


def _lookback(rows: int, season: int, horizon: int) -> int:
    """Return twice the season, at least the horizon and 8, at most a quarter of the rows."""
    return max(1, min(max(2 * season, horizon, 8), max(rows // 4, season)))


def _fit_scale(name: str, values: Array, panel: Panel, season: int) -> Scale:
    if len(values) == 0 or np.isnan(values).all(0).any():
        empty = [c for k, c in enumerate(panel.columns.values) if np.isnan(values[:, k]).all()]
        raise UserError(
            "Each column must have values in the training split.",
            f"In the {series_name(name)} there are none for: {', '.join(empty)}.",
            "Give another --split, or leave that column or series out.",
        )
    mean, std = np.nanmean(values, 0), np.nanstd(values, 0)
    constant = std < 1e-9 * np.maximum(1.0, np.abs(mean))
    mase = seasonal_scale(values[:, : len(panel.columns.targets)], season)
    return Scale(mean.tolist(), np.where(constant, 1.0, std).tolist(), mase.tolist())
