"""Exponential smoothing as a baseline: fitted once on the training rows, then filtered, never refitted.

ETS(A,Ad,A) of Hyndman et al. 2008, "Forecasting with Exponential Smoothing", with level l, damped trend b and
season s of m steps; the error is e_t = y_t - (l_{t-1} + phi b_{t-1} + s_{t-m}):

    l_t = l_{t-1} + phi b_{t-1} + alpha e_t
    b_t = phi b_{t-1} + beta e_t
    s_t = s_{t-m} + gamma e_t
    forecast of step k from origin o (its last row is o - 1):  l + (phi + ... + phi^k) b + s_{o - m + (k - 1) mod m}

Letters as in :mod:`holdfast.tasks.forecast.windows`; n rows of one channel, m steps in a season.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from holdfast._typing import Array
from holdfast.optional_imports import load_extra
from holdfast.tasks.forecast.preprocessing import Schema
from holdfast.tasks.forecast.windows import Part

_STATSMODELS = "statsmodels.tsa.exponential_smoothing.ets"

FIT_ROWS = 3000
"""The latest training rows of a series that the parameters are fitted on, to keep it in seconds."""

_LONGEST_SEASON = 366
"""A longer season is left out: each step of the filter moves all of its states."""

MOST_FITS = 64
"""With more series times channels than this there is no such baseline."""

_START_SEASONS = 10
"""Seasons at the start of a series, at most, that the first states are taken from."""

START = (0.1, 0.01, 0.01, 0.98)
"""alpha, beta, gamma, phi before fitting; kept where nothing can be fitted."""


class Ets:
    """Exponential smoothing with an additive damped trend, and an additive season where there is one.

    The parameters alpha, beta, gamma and phi are fitted by maximum likelihood (statsmodels) for each series and
    channel. The first states come from the first look-back rows of a series, of which no window forecasts any: so a
    forecast owes nothing to values at or behind its origin.
    """

    name = "ets"

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.season = 1
        self.parameters = np.tile(START, (len(schema.scales), len(schema.targets), 1))

    def fit(self, train: Part, valid: Part) -> None:
        """Fit the parameters [S, C, 4] on the last ``FIT_ROWS`` training rows of each series.

        There is a season where each series has two of it in these rows, and it has at most ``_LONGEST_SEASON`` steps.
        """
        values = {name: rows[-FIT_ROWS:] for name, rows in _training_rows(train).items()}
        self.season = _season(self.schema.season, min(len(rows) for rows in values.values()))
        for s, name in enumerate(self.schema.scales):
            for channel in range(len(self.schema.targets)):
                if name in values:
                    self.parameters[s, channel] = self._fit(values[name][:, channel])

    def _fit(self, values: Array) -> Array:
        """alpha, beta, gamma, phi of one channel [n]; ``START`` where no likelihood can tell (a constant, few rows)."""
        parameters = np.array(START)
        if len(values) <= len(START) or np.ptp(values) == 0:
            return parameters
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # where the search stops early, its best parameters are taken
            fitted = self._model(values).fit(disp=False, return_params=True)
        if np.isfinite(fitted).all():
            parameters[self._free()] = fitted
        return parameters

    def _free(self) -> list[int]:
        """Positions of the parameters that the model has: there is no gamma without a season."""
        return [0, 1, 2, 3] if self.season > 1 else [0, 1, 3]

    def _model(self, values: Array) -> Any:
        """The model of one channel [n] in statsmodels, with its first states."""
        states = start(values[: self.schema.lookback], self.season)
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

    def forecast(self, part: Part) -> Array:
        """Point forecasts [W, h, C]: one pass of the filter over each series, from its first row to the last origin."""
        point = np.empty((len(part), part.horizon, len(self.schema.targets)), np.float32)
        names = list(self.schema.scales)
        for s in np.unique(part.series):
            own, first = part.series == s, part.rows.first[s]
            values = part.rows.filled[first : part.origins[own].max()].numpy().astype(np.float64)
            fitted = self.parameters[names.index(part.rows.panel.series[s].name)]
            for channel, parameters in enumerate(fitted):
                paths = self._paths(values[:, channel], parameters, part.origins[own] - first, part.horizon)
                point[own, :, channel] = paths
        return point

    def _paths(self, values: Array, parameters: Array, origins: Array, horizon: int) -> Array:
        """Forecasts of one channel [n] from each origin, counted in its rows: [W] -> [W, h]."""
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
        """What :meth:`fit` found."""
        return {"parameters": self.parameters, "season": np.array([self.season])}

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Take what :meth:`state` gave."""
        self.parameters, self.season = arrays["parameters"], int(arrays["season"][0])


@dataclass(frozen=True)
class _States:
    """Before the first row: level, trend, and the season [m] from the first row's on."""

    level: float
    trend: float
    season: Array


def start(values: Array, season: int) -> _States:
    """First states by the classical rule: a line through the first seasons' means, and the mean rest of each phase.

    Args:
        values: the first rows [n]; at most ``_START_SEASONS`` whole seasons of them are used. Fewer than one season
            gives the line alone.
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


def _training_rows(train: Part) -> dict[str, Array]:
    """Targets of each series up to the end of its last training window: name -> [n, C]."""
    rows, spans = train.rows, {}
    for s in np.unique(train.series):
        stop = train.origins[train.series == s].max() + train.horizon
        spans[rows.panel.series[s].name] = rows.filled[rows.first[s] : stop].numpy().astype(np.float64)
    return spans
