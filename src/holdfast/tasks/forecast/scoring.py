"""Forecasts against the truth: the model and every baseline on the same windows, with the same figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from holdfast._typing import Array
from holdfast.tasks.forecast import metrics
from holdfast.tasks.forecast.windows import Part


@dataclass(frozen=True)
class Forecast:
    """Of every window of a part, on the network's scale: ``point`` [W, h, C] and ``quantiles`` [W, h, C, Q]."""

    point: Array
    quantiles: Array


def truth(part: Part) -> Array:
    """What came, on the network's scale: [W, h, C], NaN where missing."""
    return part.truth(torch.arange(len(part))).numpy()


def error_quantiles(point: Array, part: Part, levels: Sequence[float]) -> Array:
    """Quantiles of ``truth - point`` over a part's windows, for each step and channel: [h, C, Q].

    Added to later point forecasts they give intervals that own nothing of the part being scored (split conformal
    prediction: Vovk et al. 2005); taken from the validation part. A step never observed there gives 0.
    """
    errors = truth(part) - point
    table = np.zeros((*errors.shape[1:], len(levels)))
    for step in range(errors.shape[1]):
        for channel in range(errors.shape[2]):
            own = errors[:, step, channel]
            own = own[~np.isnan(own)]
            if len(own):
                table[step, channel] = np.quantile(own, levels)
    return table


def with_intervals(point: Array, errors: Array) -> Forecast:
    """A point forecast and the quantiles of its earlier errors [h, C, Q] -> a forecast with intervals."""
    return Forecast(point, point[..., None] + errors)


def score(forecast: Forecast, part: Part, levels: Sequence[float]) -> dict[str, float]:
    """Every figure of a forecast: in the columns' units, and ``mse_z`` and ``mae_z`` on the training scale.

    Where returns are forecast, ``direction`` is the share of returns whose sign was forecast (a return of zero, and a
    forecast of it, are left out); there is no ``smape``, which tells nothing of values about zero.
    """
    came = truth(part)
    figures = metrics.score(
        part.unscale(came),
        part.unscale(forecast.point),
        part.unscale(forecast.quantiles),
        levels,
        part.rows.mase(part.series),
    )
    figures |= {"mse_z": metrics.mse(came, forecast.point), "mae_z": metrics.mae(came, forecast.point)}
    if part.rows.prices is not None:
        del figures["smape"]
        still = 1e-5 * part.rows.std(part.series)  # a price that stands still, but for rounding
        figures |= _direction(part.unscale(came), part.unscale(forecast.point), still)
    return figures


def _direction(came: Array, point: Array, still: Array) -> dict[str, float]:
    seen = ~np.isnan(came) & (np.abs(came) > still) & (np.abs(point) > 1e-12)
    return {"direction": float(np.mean(np.sign(came[seen]) == np.sign(point[seen])))} if seen.any() else {}


def windows_of(part: Part, forecast: Forecast, chosen: Sequence[int]) -> Mapping[str, Array]:
    """A few windows in the columns' units, for pictures: ``truth`` [w, h, C], ``point``, ``quantiles``."""
    picked = Part(part.rows, part.origins[list(chosen)], part.series[list(chosen)], part.horizon)
    return {
        "truth": picked.unscale(truth(picked)),
        "point": picked.unscale(forecast.point[list(chosen)]),
        "quantiles": picked.unscale(forecast.quantiles[list(chosen)]),
    }
