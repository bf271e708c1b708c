"""Exponential smoothing as a baseline, fitted once on the training rows.

ETS(A,Ad,A) of Hyndman et al. 2008, "Forecasting with Exponential Smoothing", with level l, damped
trend b and season s of m steps; the error is e_t = y_t - (l_{t-1} + phi b_{t-1} + s_{t-m}):

    l_t = l_{t-1} + phi b_{t-1} + alpha e_t
    b_t = phi b_{t-1} + beta e_t
    s_t = s_{t-m} + gamma e_t
    forecast of step k from origin o, after row o - 1:
        l + (phi + ... + phi^k) b + s_{o - m + (k - 1) mod m}

Letters as in :mod:`holdfast.tasks.forecast.preprocessing`; n rows of one channel, m steps in a
season.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from holdfast._typing import Array
from holdfast.optional_imports import load_extra
from holdfast.tasks.baselines import LeftOut
from holdfast.tasks.forecast.baselines import PointBaseline
from holdfast.tasks.forecast.preprocessing import ForecastPreprocessing, WindowSplit

_STATSMODELS = "statsmodels.tsa.exponential_smoothing.ets"

FIT_ROWS = 3000
"""Latest training rows of a series that the parameters are fitted on; more would take long."""

_LONGEST_SEASON = 366
"""A longer season is left out: each step of the filter updates all of its states."""

_MOST_FITS = 64
"""Series times channels above which this baseline is left out."""

_START_SEASONS = 10
"""Maximum number of seasons, at the start of a series, that the first states are estimated from."""

START = (0.1, 0.01, 0.01, 0.98)
"""alpha, beta, gamma and phi before fitting; kept where nothing can be fitted."""


class Ets(PointBaseline):
    """Exponential smoothing with an additive damped trend and, where there is one, a season.

    The parameters alpha, beta, gamma and phi are fitted by maximum likelihood (statsmodels) for
    each series and channel. The first states come from the first look-back rows of a series, which
    no window forecasts: a forecast does not depend on values at or after its origin.
    """

    name = "ets"
    saved = ("parameters", "intervals")

    def __init__(self, preprocessing: ForecastPreprocessing, levels: Sequence[float] = (0.5,)) -> None:
        super().__init__(levels)
        self.preprocessing = preprocessing
        self.season = 1
        self.parameters = np.tile(START, (len(preprocessing.scales), len(preprocessing.targets), 1))

    def _check_count(self) -> None:
        series, channels, _ = self.parameters.shape
        if series * channels > _MOST_FITS:
            raise LeftOut(
                f"it would need {series * channels} fits (series times targets), more than {_MOST_FITS}"
            )

    def fit_point(self, train: WindowSplit, valid: WindowSplit) -> None:
        """Fit the parameters [S, C, 4] on the last ``FIT_ROWS`` training rows of each series.

        There is a season if each series has two of them in these rows, and it has at most
        ``_LONGEST_SEASON`` steps.

        Raises:
            LeftOut: there are too many series and targets.
        """
        self._check_count()
        values = {name: rows[-FIT_ROWS:] for name, rows in _training_rows(train).items()}
        self.season = _season(self.preprocessing.season, min(len(rows) for rows in values.values()))
        for s, name in enumerate(self.preprocessing.scales):
            for channel in range(len(self.preprocessing.targets)):
                if name in values:
                    self.parameters[s, channel] = self._fit(values[name][:, channel])

    def _fit(self, values: Array) -> Array:
        """Return alpha, beta, gamma and phi of one channel [n]; ``START`` for constant rows."""
        parameters = np.array(START)
        if len(values) <= len(START) or np.ptp(values) == 0:
            return parameters
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # a search that stops early has good parameters too
            fitted = self._model(values).fit(disp=False, return_params=True)
        if np.isfinite(fitted).all():
            parameters[self._free()] = fitted
        return parameters

    def _free(self) -> list[int]:
        """Return the positions of the fitted parameters: there is no gamma without a season."""
        return [0, 1, 2, 3] if self.season > 1 else [0, 1, 3]

    def _model(self, values: Array) -> Any:
        """Return the statsmodels model of one channel [n], with its first states."""
        states = start(values[: self.preprocessing.lookback], self.season)
        return load_extra(_STATSMODELS, "forecast").ETSModel(
            values,
            error="add",
            trend="add",
            damped_trend=True,
            seasonal="add" if self.season > 1 else None,
            seasonal_periods=self.season if self.season > 1 else None,
            initialization_method="known",
            initial_level=states.level,
            initial_trend=states.trend,
            initial_seasonal=states.season,
        )

    def point(self, split: WindowSplit) -> Array:
        """Return the point forecasts [W, h, C], by one pass of the filter over each series."""
        point = np.empty((len(split), split.horizon, len(self.preprocessing.targets)), np.float32)
        names = list(self.preprocessing.scales)
        for s in np.unique(split.series):
            own, first = split.series == s, split.table.first[s]
            values = split.table.filled[first : split.origins[own].max()].numpy().astype(np.float64)
            fitted = self.parameters[names.index(split.table.panel.series[s].name)]
            for channel, parameters in enumerate(fitted):
                paths = self._paths(values[:, channel], parameters, split.origins[own] - first, split.horizon)
                point[own, :, channel] = paths
        return point

    def _paths(self, values: Array, parameters: Array, origins: Array, horizon: int) -> Array:
        """Return the forecasts of one channel [n] from each origin (its row): [W] -> [W, h]."""
        model = self._model(values)
        states = model.smooth(parameters[self._free()], return_raw=True)[1]
        steps = np.arange(horizon)
        damped = np.cumsum(parameters[3] ** (steps + 1))
        paths: Array = states[origins - 1, 0, None] + damped * states[origins - 1, 1, None]
        if self.season > 1:
            seasons = np.concatenate([model.initial_seasonal, states[:, 2]])  # row t is at t + m
            paths += seasons[origins[:, None] + steps % self.season]
        return paths

    def state(self) -> dict[str, Array]:
        """Return the parameters, the season and the intervals."""
        return {"season": np.array([self.season])} | super().state()

    def load_state(self, arrays: Mapping[str, Array]) -> None:
        """Take what :meth:`state` returned."""
        self._check_count()
        super().load_state(arrays)
        self.season = int(arrays["season"][0])


@dataclass(frozen=True)
class _States:
    """States before the first row: level, trend, and the season [m] from the first row on."""

    level: float
    trend: float
    season: Array


def start(values: Array, season: int) -> _States:
    """Estimate the first states from a line and a season.

    The line goes through the first seasons' means; the season is the mean remainder of each phase.

    Args:
        values: the first rows [n]; at most ``_START_SEASONS`` whole seasons of them are used. With
            less than one season there is only the line.
        season: m, 1 for none.
    """
    length = season if len(values) >= season else 1
    count = min(len(values) // length, _START_SEASONS)
    seasons = values[: count * length].reshape(count, length)
    means = seasons.mean(1)
    trend = (means[-1] - means[0]) / (max(count - 1, 1) * length)
    level = means.mean() - trend * (count * length + 1) / 2
    line = level + trend * np.arange(1, count * length + 1).reshape(count, length)
    rest = (seasons - line).mean(0) if length > 1 else np.zeros(season)
    return _States(float(level), float(trend), rest)


def _season(season: int, rows: int) -> int:
    return season if season <= _LONGEST_SEASON and rows >= 2 * season else 1


def _training_rows(train: WindowSplit) -> dict[str, Array]:
    """Return name -> targets of a series up to the end of its last training window [n, C]."""
    table, spans = train.table, {}
    for s in np.unique(train.series):
        stop = train.origins[train.series == s].max() + train.horizon
        spans[table.panel.series[s].name] = table.filled[table.first[s] : stop].numpy().astype(np.float64)
    return spans
