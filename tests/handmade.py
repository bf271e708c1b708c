"""Series tables, windows and configurations of forecasting, made by hand."""

import numpy as np
import torch

from holdfast.data.tabular.frequency import Frequency
from holdfast.data.tabular.series import Columns, Panel, Series
from holdfast.tasks.forecast.config import DataConfig, ForecastConfig
from holdfast.tasks.forecast.preprocessing import (
    ForecastPreprocessing,
    Scale,
    SeriesTable,
    WindowSplit,
    cut_windows,
    fill,
)

Array = np.ndarray


def preprocessing_of(names: list[str], channels: int, season: int, lookback: int) -> ForecastPreprocessing:
    columns = tuple(f"c{i}" for i in range(channels))
    scale = Scale([float(i + 1) for i in range(channels)], [2.0] * channels, [1.0] * channels)
    return ForecastPreprocessing(
        columns, (), (), None, None, "1h", season, lookback, False, dict.fromkeys(names, scale)
    )


def table_of(*series: Array, season: int = 1, lookback: int = 1) -> SeriesTable:
    """Return series of scaled values [n] or [n, C], named a, b, ..., one after the other."""
    values = [np.asarray(s, np.float32).reshape(len(s), -1) for s in series]
    preprocessing = preprocessing_of(
        [chr(97 + i) for i in range(len(values))], values[0].shape[1], season, lookback
    )
    members = tuple(
        Series(n, np.arange(len(v)), v) for n, v in zip(preprocessing.scales, values, strict=True)
    )
    filled = torch.from_numpy(np.concatenate([fill(v) for v in values]))
    panel = Panel(
        members, Columns(targets=preprocessing.targets), Frequency.parse(preprocessing.frequency), ()
    )
    first = np.cumsum([0, *map(len, values)])
    return SeriesTable(
        panel, preprocessing, first, torch.from_numpy(np.concatenate(values)), filled, filled, filled[:, :0]
    )


def split_of(table: SeriesTable, horizon: int, spans: list[tuple[int, int]] | None = None) -> WindowSplit:
    return cut_windows(table, spans or [(0, n) for n in np.diff(table.first)], horizon)


def config_of(preprocessing: ForecastPreprocessing, horizon: int, returns: bool = False) -> ForecastConfig:
    return ForecastConfig(data=DataConfig(target=preprocessing.targets, returns=returns), horizon=horizon)


def at(table: SeriesTable, origin: int, horizon: int) -> WindowSplit:
    """Return one window of the series of the origin (the last one that begins before it)."""
    series = int(np.flatnonzero(table.first[:-1] < origin)[-1])
    return WindowSplit(table, np.array([origin]), np.array([series]), horizon)


def seasonal(rows: int, season: int, channels: int = 1, noise: float = 0.1) -> Array:
    rng = np.random.default_rng(0)
    wave = np.sin(2 * np.pi * np.arange(rows) / season)[:, None] * np.arange(1, channels + 1)
    return wave + noise * np.cumsum(rng.normal(size=(rows, channels)), 0)
