"""What a network has to beat: simple forecasts of the same windows, which see values before the origin only.

All work on the network's scale and commute with it. Letters as in :mod:`holdfast.tasks.forecast.windows`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from holdfast._typing import Array
from holdfast.tasks.forecast.config import ForecastConfig
from holdfast.tasks.forecast.ets import MOST_FITS, Ets
from holdfast.tasks.forecast.linear import Linear
from holdfast.tasks.forecast.preprocessing import Schema
from holdfast.tasks.forecast.scoring import Forecast, error_quantiles, with_intervals
from holdfast.tasks.forecast.windows import Part


class Baseline(Protocol):
    """A simple forecaster."""

    @property
    def name(self) -> str:
        """As reports show it."""

    def fit(self, train: Part, valid: Part) -> None:
        """Learn from the training part; the validation part may choose between settings."""

    def forecast(self, part: Part) -> Array:
        """Point forecasts of every window: [W, h, C]."""

    def state(self) -> dict[str, Array]:
        """What was learnt, by name."""

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Take what :meth:`state` gave."""


class _Rule:
    """A baseline that learns nothing."""

    def fit(self, train: Part, valid: Part) -> None:
        """Nothing to learn."""

    def state(self) -> dict[str, Array]:
        """Nothing to keep."""
        return {}

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Nothing to take."""


class LastValue(_Rule):
    """The last value before the origin, again and again: ``y[o + k] = y[o - 1]``."""

    name = "last_value"

    def forecast(self, part: Part) -> Array:
        """Point forecasts [W, h, C]."""
        return np.repeat(_last(part), part.horizon, axis=1)


@dataclass(frozen=True)
class SeasonalNaive(_Rule):
    """The last m steps before the origin, again and again: ``y[o + k] = y[o - m + k mod m]``.

    Reaches in front of the look-back; steps of a season that begins before the series get the last value.
    """

    season: int
    name: str = "seasonal_naive"

    def forecast(self, part: Part) -> Array:
        """Point forecasts [W, h, C]."""
        rows = part.origins[:, None] - self.season + np.arange(part.horizon) % self.season
        before = rows < part.rows.first[part.series][:, None]
        point: Array = part.rows.filled.numpy()[np.where(before, part.origins[:, None] - 1, rows)]
        return point


class Drift(_Rule):
    """The line from a series' first seen value to the last one before the origin, drawn on.

    ``y[o + k] = y[o - 1] + (k + 1) (y[o - 1] - y[f]) / (o - 1 - f)`` with f the first row that has a value.
    """

    name = "drift"

    def forecast(self, part: Part) -> Array:
        """Point forecasts [W, h, C]."""
        last, latest = _last(part), part.origins[:, None] - 1
        begin = np.minimum(_first_seen(part)[part.series], latest)
        first = np.take_along_axis(part.rows.filled.numpy(), begin, 0)
        slope = (last[:, 0] - first) / np.maximum(latest - begin, 1)
        path: Array = last + np.arange(1, part.horizon + 1)[:, None] * slope[:, None]
        return path.astype(np.float32)


class RandomWalk(_Rule):
    """Of prices: a return of zero, which on the network's scale is ``-mean / std``.

    In double precision: rounded to single it would have a sign in the columns' units.
    """

    name = "random_walk"

    def forecast(self, part: Part) -> Array:
        """Point forecasts [W, h, C]."""
        zero: Array = -part.rows.mean(part.series) / part.rows.std(part.series)
        return np.repeat(zero, part.horizon, axis=1)


class MeanReturn(_Rule):
    """Of prices, a random walk with drift: the mean training return, which on the network's scale is 0."""

    name = "drift"

    def forecast(self, part: Part) -> Array:
        """Point forecasts [W, h, C]."""
        return np.zeros((len(part), part.horizon, part.rows.filled.size(1)), np.float32)


def _last(part: Part) -> Array:
    """The last value before each origin: [W, 1, C]."""
    last: Array = part.rows.filled.numpy()[part.origins[:, None] - 1]
    return last


def _first_seen(part: Part) -> Array:
    """The row of each series' first value, and the row behind its last one where a channel has none: [S, C]."""
    seen = part.rows.targets.isfinite().numpy()
    bounds = list(zip(part.rows.first[:-1], part.rows.first[1:], strict=True))
    return np.array([np.where(seen[a:b].any(0), a + seen[a:b].argmax(0), b) for a, b in bounds])


# -- the set that applies ----------------------------------------------------------------------------------------


def baselines(config: ForecastConfig, schema: Schema) -> list[Baseline]:
    """Those that apply to the data, not fitted yet."""
    if config.data.returns:
        return [RandomWalk(), MeanReturn(), Linear(schema, returns=True)]
    seasonal: list[Baseline] = [SeasonalNaive(schema.season)] if schema.season > 1 else []
    smoothing: list[Baseline] = [] if _left_out(config, schema) else [Ets(schema)]
    return [LastValue(), *seasonal, Drift(), *smoothing, Linear(schema, returns=False)]


def _left_out(config: ForecastConfig, schema: Schema) -> str | None:
    """Why exponential smoothing is not among the baselines of levels."""
    fits = len(schema.scales) * len(schema.targets)
    if config.data.returns or fits <= MOST_FITS:
        return None
    return f"baseline ets left out: {fits} fits (series times targets), at most {MOST_FITS} are made"


@dataclass(frozen=True)
class Baselines:
    """Fitted baselines, each with the quantiles of its own errors on the validation part [h, C, Q].

    ``notes`` tells what was left out and why.
    """

    members: tuple[Baseline, ...]
    intervals: Mapping[str, Array]
    notes: tuple[str, ...] = ()

    @classmethod
    def fit(cls, config: ForecastConfig, schema: Schema, train: Part, valid: Part) -> Self:
        """Fit every baseline that applies.

        Raises:
            UserError: a library is missing (``pip install 'holdfast[forecast]'``).
        """
        members = tuple(baselines(config, schema))
        intervals = {}
        for member in members:
            member.fit(train, valid)
            intervals[member.name] = error_quantiles(member.forecast(valid), valid, config.quantiles)
        return cls(members, intervals, _notes(config, schema))

    def each(self, part: Part) -> Iterator[tuple[str, Forecast]]:
        """Name and forecast of one baseline after the other, so that only one is held in memory."""
        for member in self.members:
            errors = self.intervals[member.name].astype(np.float32)
            yield member.name, with_intervals(member.forecast(part), errors)

    def forecasts(self, part: Part) -> dict[str, Forecast]:
        """Name -> forecasts of every window of a part."""
        return dict(self.each(part))

    def state(self) -> dict[str, Array]:
        """Everything fitted: ``<name>.<array>`` and ``<name>.intervals``."""
        fitted = {f"{m.name}.{key}": array for m in self.members for key, array in m.state().items()}
        return fitted | {f"{name}.intervals": errors for name, errors in self.intervals.items()}

    @classmethod
    def from_state(cls, config: ForecastConfig, schema: Schema, arrays: Mapping[str, Array]) -> Self:
        """Take what :meth:`state` gave."""
        members = tuple(baselines(config, schema))
        for member in members:
            prefix = f"{member.name}."
            own = {key.removeprefix(prefix): a for key, a in arrays.items() if key.startswith(prefix)}
            member.load(own)
        return cls(members, {m.name: arrays[f"{m.name}.intervals"] for m in members}, _notes(config, schema))


def _notes(config: ForecastConfig, schema: Schema) -> tuple[str, ...]:
    reason = _left_out(config, schema)
    return () if reason is None else (reason,)
