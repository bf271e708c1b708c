"""Plots of forecast windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from holdfast.errors import UserError
from holdfast.reporting import plots
from holdfast.tasks.forecast.metrics import Forecast, truth
from holdfast.tasks.forecast.predict import as_prices
from holdfast.tasks.forecast.preprocessing import WindowSplit, time_text

_MOST_SERIES = 6
"""Maximum number of series in one plot."""


def window_plots(
    split: WindowSplit, forecast: Forecast, others: Mapping[str, Forecast]
) -> list[plots.Window]:
    """Return every window's first target in its unit, with a past of up to three horizons."""
    came, point, quantiles = (split.unscale(v) for v in (truth(split), forecast.point, forecast.quantiles))
    compared = {name: split.unscale(other.point) for name, other in others.items()}
    preprocessing, found = split.table.preprocessing, []
    seen = min(preprocessing.lookback, max(3 * split.horizon, 24))
    for w in range(len(split)):
        series, at = split.place(w)
        known = came[w, :, 0]
        found.append(
            plots.Window(
                title=f"{series.name} {preprocessing.targets[0]}, from {time_text(series.times[at])}".strip(),
                times=series.times[at - seen : at + split.horizon],
                past=series.values[at - seen : at, 0],
                truth=known if not np.isnan(known).all() else known[:0],
                point=point[w, :, 0],
                quantiles=quantiles[w, :, 0],
                others={name: values[w, :, 0] for name, values in compared.items()},
            )
        )
    return found


def prediction_plot(split: WindowSplit, forecast: Forecast, levels: Sequence[float], path: Path) -> Path:
    """Plot the forecast after the end of a file, for at most :data:`_MOST_SERIES` series."""
    if path.suffix.lower() != ".png":
        raise UserError("A plot must be a PNG file.", f"Its name was {path}.", "Give --plot forecast.png.")
    few = split.select(range(min(len(split), _MOST_SERIES)))
    own = Forecast(forecast.point[:_MOST_SERIES], forecast.quantiles[:_MOST_SERIES])
    windows = window_plots(few, own, {})
    if few.table.prices is not None:
        windows = _priced(windows, few, own)
    return plots.forecasts(windows, levels, path)


def _priced(windows: list[plots.Window], split: WindowSplit, forecast: Forecast) -> list[plots.Window]:
    """Convert windows of log returns to prices, forward and backward from the last price."""
    assert split.table.prices is not None
    point, quantiles = as_prices(split, forecast)
    priced = []
    for w, window in enumerate(windows):
        returns = np.nan_to_num(window.past)
        later = returns[::-1].cumsum()[::-1] - returns
        past = split.table.prices[split.series[w], 0] * np.exp(-later)
        priced.append(replace(window, past=past, point=point[w, :, 0], quantiles=quantiles[w, :, 0]))
    return priced
