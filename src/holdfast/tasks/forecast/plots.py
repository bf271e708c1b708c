"""Windows of forecasts as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from holdfast.errors import UserError
from holdfast.reporting import plots
from holdfast.tasks.forecast.prediction import as_prices
from holdfast.tasks.forecast.scoring import Forecast, windows_of
from holdfast.tasks.forecast.windows import Part, when

_MOST_SERIES = 6
"""Series drawn in one picture, at most."""


def draw_windows(part: Part, forecast: Forecast, others: dict[str, Forecast]) -> list[plots.Window]:
    """Every window's first target, with as much of the past as three horizons."""
    every = list(range(len(part)))
    own = windows_of(part, forecast, every)
    beside = {name: windows_of(part, other, every)["point"] for name, other in others.items()}
    drawn = []
    for w in every:
        series = part.rows.panel.series[part.series[w]]
        at = int(part.origins[w] - part.rows.first[part.series[w]])
        seen = min(part.rows.schema.lookback, max(3 * part.horizon, 24))
        known = own["truth"][w, :, 0]
        drawn.append(
            plots.Window(
                title=f"{series.name} {part.rows.schema.targets[0]}, from {when(series.times[at])}".strip(),
                times=series.times[at - seen : at + part.horizon],
                past=series.values[at - seen : at, 0],
                truth=known if not np.isnan(known).all() else known[:0],
                point=own["point"][w, :, 0],
                quantiles=own["quantiles"][w, :, 0],
                others={name: values[w, :, 0] for name, values in beside.items()},
            )
        )
    return drawn


def prediction_plot(part: Part, forecast: Forecast, levels: Sequence[float], path: Path) -> Path:
    """The forecast beyond the end of a file, at most :data:`_MOST_SERIES` series."""
    if path.suffix.lower() != ".png":
        raise UserError("A plot is a PNG file.", f"Its name was {path}.", "Give --plot forecast.png.")
    few = Part(part.rows, part.origins[:_MOST_SERIES], part.series[:_MOST_SERIES], part.horizon)
    own = Forecast(forecast.point[:_MOST_SERIES], forecast.quantiles[:_MOST_SERIES])
    windows = draw_windows(few, own, {})
    if few.rows.prices is not None:
        windows = _priced(windows, few, own)
    return plots.forecasts(windows, levels, path)


def _priced(windows: list[plots.Window], part: Part, forecast: Forecast) -> list[plots.Window]:
    """Windows of log returns as prices: forward from the last one, and back through the past."""
    assert part.rows.prices is not None
    point, quantiles = as_prices(part, forecast)
    priced = []
    for w, window in enumerate(windows):
        returns = np.nan_to_num(window.past)
        later = returns[::-1].cumsum()[::-1] - returns
        past = part.rows.prices[part.series[w], 0] * np.exp(-later)
        priced.append(replace(window, past=past, point=point[w, :, 0], quantiles=quantiles[w, :, 0]))
    return priced
