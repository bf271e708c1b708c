"""The steps after the end of a file: a forecast as a table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from holdfast._typing import Array
from holdfast.data.tabular.frequency import future
from holdfast.data.tabular.series import Panel, Series
from holdfast.errors import UserError
from holdfast.tasks.forecast.config import ForecastConfig
from holdfast.tasks.forecast.dataset import read
from holdfast.tasks.forecast.preprocessing import Schema
from holdfast.tasks.forecast.scoring import Forecast
from holdfast.tasks.forecast.windows import Part, to_rows


def last_windows(path: Path, config: ForecastConfig, schema: Schema) -> Part:
    """One window for each series of a file: it ends at the last observed target and forecasts what follows.

    Raises:
        UserError: too few rows to look back on, or covariates known in advance that do not reach over the horizon.
    """
    data = replace(config.data, missing="mask")  # what follows the last target is to be forecast, not filled
    panel, prices = read(path, data, schema)
    ends = [_end(series, len(schema.targets)) for series in panel.series]
    for series, end in zip(panel.series, ends, strict=True):
        _check_start(series, end, schema)
        _check_known(series, end, config.horizon, schema)
    longer = replace(
        panel,
        series=tuple(_extend(s, e, config.horizon, panel) for s, e in zip(panel.series, ends, strict=True)),
    )
    rows = to_rows(longer, schema, prices, wide=config.network.model == "recurrent")
    return Part(rows, rows.first[:-1] + np.array(ends), np.arange(len(ends)), config.horizon)


def _end(series: Series, count: int) -> int:
    """The row behind the last one with an observed target; 0 where there is none."""
    observed = np.flatnonzero(~np.isnan(series.values[:, :count]).all(1))
    return int(observed[-1]) + 1 if len(observed) else 0


def _check_start(series: Series, end: int, schema: Schema) -> None:
    if end < schema.lookback:
        raise UserError(
            f"A prediction looks back on {schema.lookback} rows.",
            f"The series {series.name or 'in the file'} has {end} with a target.",
            "Give a file with more of the past.",
        )


def _check_known(series: Series, end: int, horizon: int, schema: Schema) -> None:
    ahead = series.values[end : end + horizon, len(schema.columns) - len(schema.known) :]
    if schema.known and (len(ahead) < horizon or np.isnan(ahead).any()):
        raise UserError(
            f"Covariates known in advance ({', '.join(schema.known)}) are given for the {horizon} steps to forecast.",
            f"Behind the last target there are {int((~np.isnan(ahead).any(1)).sum())} such rows.",
            "Add rows with their time and these columns filled, and the target left empty.",
        )


def _extend(series: Series, end: int, horizon: int, panel: Panel) -> Series:
    """The series with rows up to ``end + horizon``, empty where the file has none."""
    missing = end + horizon - len(series.times)
    if missing <= 0:
        return series
    times = np.concatenate([series.times, future(series.times, panel.frequency, missing)])
    empty = np.full((missing, series.values.shape[1]), np.nan)
    return Series(series.name, times, np.concatenate([series.values, empty]))


def table(part: Part, forecast: Forecast, config: ForecastConfig) -> pl.DataFrame:
    """A row for each series, target and step, in the columns' units; prices where returns were forecast."""
    to_units = as_prices if config.data.returns else _as_values
    point, quantiles = to_units(part, forecast)
    frames = []
    for w, (origin, s) in enumerate(zip(part.origins, part.series, strict=True)):
        series = part.rows.panel.series[s]
        start = int(origin - part.rows.first[s])
        times = series.times[start : start + part.horizon]
        for c, target in enumerate(part.rows.schema.targets):
            levels = {f"q{level:g}": quantiles[w, :, c, k] for k, level in enumerate(config.quantiles)}
            columns = {
                "time": times,
                "series": [series.name] * part.horizon,
                "target": [target] * part.horizon,
            }
            frames.append(pl.DataFrame(columns | {"forecast": point[w, :, c]} | levels))
    whole = pl.concat(frames)
    if whole["time"].dtype == pl.Datetime:
        whole = whole.with_columns(pl.col("time").dt.strftime("%Y-%m-%d %H:%M:%S"))
    return whole.drop([] if part.rows.schema.series else ["series"])


def _as_values(part: Part, forecast: Forecast) -> tuple[Array, Array]:
    return part.unscale(forecast.point), part.unscale(forecast.quantiles)


def as_prices(part: Part, forecast: Forecast) -> tuple[Array, Array]:
    """Log returns summed up from the last price.

    The spread of the sum takes the steps as independent: the squares of ``quantile - median`` add up.
    """
    assert part.rows.prices is not None
    point, quantiles = _as_values(part, forecast)
    path = point.cumsum(1)
    away = quantiles - point[..., None]
    spread = np.sign(away) * np.sqrt((away**2).cumsum(1))
    last = part.rows.prices[part.series][:, None, :]
    return last * np.exp(path), last[..., None] * np.exp(path[..., None] + spread)
