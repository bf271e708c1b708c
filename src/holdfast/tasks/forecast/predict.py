"""Output of ``holdfast predict``: a forecast of the steps after the end of a file, as a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from holdfast._typing import Array
from holdfast.data.tabular.frequency import future
from holdfast.data.tabular.series import Panel, Series
from holdfast.errors import UserError
from holdfast.tasks.forecast.config import ForecastConfig, Prediction
from holdfast.tasks.forecast.dataset import read_series
from holdfast.tasks.forecast.metrics import Forecast
from holdfast.tasks.forecast.preprocessing import ForecastPreprocessing, WindowSplit

if TYPE_CHECKING:
    from holdfast.tasks.forecast.task import Forecaster


def write_predictions(model: Forecaster, data: Path | None, options: Prediction) -> Iterator[str]:
    """Yield a forecast as CSV, and write a plot of it."""
    if data is None:
        raise UserError(
            "A forecaster must get a file: the forecast begins where it ends.",
            "No file was given.",
            "Give one: holdfast predict RUN FILE.",
        )
    yield model.predict(data, plot=options.plot, method=options.method).write_csv()


def last_windows(path: Path, config: ForecastConfig, preprocessing: ForecastPreprocessing) -> WindowSplit:
    """Return one window for each series of a file; it forecasts what follows the last target.

    Raises:
        UserError: there are too few rows to look back on, or a known covariate lacks values for the
            horizon.
    """
    data = replace(config.data, missing="mask")  # later gaps are forecast, not filled
    panel, prices = read_series(path, data, preprocessing)
    ends = [_end(series, len(preprocessing.targets)) for series in panel.series]
    for series, end in zip(panel.series, ends, strict=True):
        _check_start(series, end, preprocessing)
        _check_known(series, end, config.horizon, preprocessing)
    longer = tuple(_extend(s, e, config.horizon, panel) for s, e in zip(panel.series, ends, strict=True))
    table = preprocessing.encode(
        replace(panel, series=longer), prices, targets_only=config.network.targets_only
    )
    return WindowSplit(table, table.first[:-1] + np.array(ends), np.arange(len(ends)), config.horizon)


def _end(series: Series, count: int) -> int:
    """Return the row after the last one with an observed target; 0 where there is none."""
    observed = np.flatnonzero(~np.isnan(series.values[:, :count]).all(1))
    return int(observed[-1]) + 1 if len(observed) else 0


def _check_start(series: Series, end: int, preprocessing: ForecastPreprocessing) -> None:
    if end < preprocessing.lookback:
        raise UserError(
            f"A prediction must have a look-back of {preprocessing.lookback} rows.",
            f"The series {series.name or 'in the file'} has {end} with a target.",
            "Give a file with more rows of the past.",
        )


def _check_known(series: Series, end: int, horizon: int, preprocessing: ForecastPreprocessing) -> None:
    known = preprocessing.known
    ahead = series.values[end : end + horizon, len(preprocessing.columns) - len(known) :]
    if known and (len(ahead) < horizon or np.isnan(ahead).any()):
        raise UserError(
            f"Covariates known in advance ({', '.join(known)}) must be given for every step to forecast.",
            f"There are {horizon} steps, and {int((~np.isnan(ahead).any(1)).sum())} such rows after the last target.",
            "Add rows with their time and these columns filled, and leave the target empty.",
        )


def _extend(series: Series, end: int, horizon: int, panel: Panel) -> Series:
    """Return the series with rows up to ``end + horizon``, empty where the file has none."""
    missing = end + horizon - len(series.times)
    if missing <= 0:
        return series
    times = np.concatenate([series.times, future(series.times, panel.frequency, missing)])
    empty = np.full((missing, series.values.shape[1]), np.nan)
    return Series(series.name, times, np.concatenate([series.values, empty]))


def forecast_table(split: WindowSplit, forecast: Forecast, config: ForecastConfig) -> pl.DataFrame:
    """Return a row for each series, target and step, in the columns' units (prices for returns)."""
    if config.data.returns:
        point, quantiles = as_prices(split, forecast)
    else:
        point, quantiles = split.unscale(forecast.point), split.unscale(forecast.quantiles)
    frames = []
    for w in range(len(split)):
        series, start = split.place(w)
        for c, target in enumerate(split.table.preprocessing.targets):
            levels = {f"q{level:g}": quantiles[w, :, c, k] for k, level in enumerate(config.quantiles)}
            columns = {
                "time": series.times[start : start + split.horizon],
                "series": [series.name] * split.horizon,
                "target": [target] * split.horizon,
            }
            frames.append(pl.DataFrame(columns | {"forecast": point[w, :, c]} | levels))
    whole = pl.concat(frames)
    if whole["time"].dtype == pl.Datetime:
        whole = whole.with_columns(pl.col("time").dt.strftime("%Y-%m-%d %H:%M:%S"))
    return whole.drop([] if split.table.preprocessing.series else ["series"])


def as_prices(split: WindowSplit, forecast: Forecast) -> tuple[Array, Array]:
    """Sum log returns up from the last price.

    The steps are taken as independent: the squares of ``quantile - median`` add up.
    """
    assert split.table.prices is not None
    point, quantiles = split.unscale(forecast.point), split.unscale(forecast.quantiles)
    path = point.cumsum(1)
    away = quantiles - point[..., None]
    spread = np.sign(away) * np.sqrt((away**2).cumsum(1))
    last = split.table.prices[split.series][:, None, :]
    return last * np.exp(path), last[..., None] * np.exp(path[..., None] + spread)
