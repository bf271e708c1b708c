"""Baselines of a forecaster, which read values before the origin only.

All work on the network's scale; in the columns' units their forecasts do not depend on it. Letters
as in :mod:`holdfast.tasks.forecast.preprocessing`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import numpy as np

from holdfast._typing import Array
from holdfast.tasks.baselines import Baseline
from holdfast.tasks.forecast.metrics import Forecast, error_quantiles, with_intervals
from holdfast.tasks.forecast.preprocessing import WindowSplit


class PointBaseline(Baseline[WindowSplit, Forecast]):
    """A baseline of point forecasts, with the quantiles of its validation errors as intervals.

    Attributes:
        levels: quantile levels.
        intervals: quantiles of the errors [h, C, Q].
    """

    saved: ClassVar[tuple[str, ...]] = ("intervals",)

    def __init__(self, levels: Sequence[float] = (0.5,)) -> None:
        self.levels = levels
        self.intervals: Array = np.zeros((1, 1, len(levels)))

    def fit(self, train: WindowSplit, valid: WindowSplit) -> None:
        """Fit the point forecasts, then the intervals on the validation split."""
        self.fit_point(train, valid)
        self.intervals = error_quantiles(self.point(valid), valid, self.levels)

    def fit_point(self, train: WindowSplit, valid: WindowSplit) -> None:
        """Fit what the point forecasts need; most rules need nothing."""

    @abstractmethod
    def point(self, split: WindowSplit) -> Array:
        """Return the point forecasts of every window: [W, h, C]."""

    def predict(self, split: WindowSplit) -> Forecast:
        """Forecast every window, with intervals."""
        return with_intervals(self.point(split), self.intervals.astype(np.float32))


class LastValue(PointBaseline):
    """Repeat the last value before the origin: ``y[o + k] = y[o - 1]``."""

    name = "last_value"

    def point(self, split: WindowSplit) -> Array:
        """Return the point forecasts [W, h, C]."""
        return np.repeat(_last(split), split.horizon, axis=1)


class SeasonalNaive(PointBaseline):
    """Repeat the last m steps before the origin: ``y[o + k] = y[o - m + k mod m]``.

    The season may begin before the look-back. Steps before the start of the series get the last
    value.
    """

    name = "seasonal_naive"

    def __init__(self, season: int, levels: Sequence[float] = (0.5,)) -> None:
        super().__init__(levels)
        self.season = season

    def point(self, split: WindowSplit) -> Array:
        """Return the point forecasts [W, h, C]."""
        rows = split.origins[:, None] - self.season + np.arange(split.horizon) % self.season
        before = rows < split.table.first[split.series][:, None]
        point: Array = split.table.filled.numpy()[np.where(before, split.origins[:, None] - 1, rows)]
        return point


class Drift(PointBaseline):
    """Continue the line from the first seen value of a series to the last one before the origin.

    ``y[o + k] = y[o - 1] + (k + 1) (y[o - 1] - y[f]) / (o - 1 - f)`` with f the first row that has
    a value.
    """

    name = "drift"

    def point(self, split: WindowSplit) -> Array:
        """Return the point forecasts [W, h, C]."""
        last, latest = _last(split), split.origins[:, None] - 1
        begin = np.minimum(_first_seen(split)[split.series], latest)
        first = np.take_along_axis(split.table.filled.numpy(), begin, 0)
        slope = (last[:, 0] - first) / np.maximum(latest - begin, 1)
        path: Array = last + np.arange(1, split.horizon + 1)[:, None] * slope[:, None]
        return path.astype(np.float32)


class RandomWalk(PointBaseline):
    """Forecast prices by a return of zero, which on the network's scale is ``-mean / std``.

    In double precision: rounded to single it would have a sign in the columns' units.
    """

    name = "random_walk"

    def point(self, split: WindowSplit) -> Array:
        """Return the point forecasts [W, h, C]."""
        zero: Array = -split.table.scales("mean", split.series) / split.table.scales("std", split.series)
        return np.repeat(zero, split.horizon, axis=1)


class MeanReturn(PointBaseline):
    """Forecast prices by the mean training return (a random walk with drift).

    On the network's scale it is 0.
    """

    name = "drift"

    def point(self, split: WindowSplit) -> Array:
        """Return the point forecasts [W, h, C]."""
        return np.zeros((len(split), split.horizon, split.table.filled.size(1)), np.float32)


def _last(split: WindowSplit) -> Array:
    """Return the last value before each origin: [W, 1, C]."""
    last: Array = split.table.filled.numpy()[split.origins[:, None] - 1]
    return last


def _first_seen(split: WindowSplit) -> Array:
    """Return the row of each series' first value, or the row after its end: [S, C]."""
    seen, bounds = split.table.targets.isfinite().numpy(), pairwise(split.table.first)
    return np.array([np.where(seen[a:b].any(0), a + seen[a:b].argmax(0), b) for a, b in bounds])
