"""Rows, windows and configurations of forecasting made by hand, for the tests."""

import numpy as np
import torch

from holdfast.data.tabular.frequency import Frequency
from holdfast.data.tabular.series import Columns, Panel, Series
from holdfast.tasks.forecast.config import DataConfig, ForecastConfig
from holdfast.tasks.forecast.preprocessing import Scale, Schema
from holdfast.tasks.forecast.windows import Part, Rows, fill, windows

Array = np.ndarray


def schema_of(names: list[str], channels: int, season: int, lookback: int) -> Schema:
    columns = tuple(f"c{i}" for i in range(channels))
    scale = Scale([float(i + 1) for i in range(channels)], [2.0] * channels, [1.0] * channels)
    return Schema(columns, (), (), None, None, "1h", season, lookback, False, dict.fromkeys(names, scale))


def rows_of(*series: Array, season: int = 1, lookback: int = 1) -> Rows:
    """Series of scaled values [n] or [n, C], named a, b, ..., one after the other."""
    values = [np.asarray(s, np.float32).reshape(len(s), -1) for s in series]
    schema = schema_of([chr(97 + i) for i in range(len(values))], values[0].shape[1], season, lookback)
    members = tuple(Series(n, np.arange(len(v)), v) for n, v in zip(schema.scales, values, strict=True))
    filled = torch.from_numpy(np.concatenate([fill(v) for v in values]))
    panel = Panel(members, Columns(targets=schema.targets), Frequency.parse(schema.frequency), ())
    first = np.cumsum([0, *map(len, values)])
    return Rows(panel, schema, first, torch.from_numpy(np.concatenate(values)), filled, filled, filled[:, :0])


def part_of(rows: Rows, horizon: int, spans: list[tuple[int, int]] | None = None) -> Part:
    return windows(rows, spans or [(0, n) for n in np.diff(rows.first)], horizon)


def config_of(schema: Schema, horizon: int, returns: bool = False) -> ForecastConfig:
    return ForecastConfig(data=DataConfig(target=schema.targets, returns=returns), horizon=horizon)


def at(rows: Rows, origin: int, horizon: int) -> Part:
    """One window of the series in which the origin lies (the last one that begins before it)."""
    series = int(np.flatnonzero(rows.first[:-1] < origin)[-1])
    return Part(rows, np.array([origin]), np.array([series]), horizon)


def seasonal(rows: int, season: int, channels: int = 1, noise: float = 0.1) -> Array:
    rng = np.random.default_rng(0)
    wave = np.sin(2 * np.pi * np.arange(rows) / season)[:, None] * np.arange(1, channels + 1)
    return wave + noise * np.cumsum(rng.normal(size=(rows, channels)), 0)
