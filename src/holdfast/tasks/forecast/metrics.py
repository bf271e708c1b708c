"""Figures of forecasts. Values that are missing (NaN) in the truth are left out everywhere.

Shapes: W windows, h horizon, C columns, Q quantile levels; truth and point forecasts [W, h, C], quantiles [W, h, C, Q].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from holdfast._typing import Array
from holdfast.errors import UserError


def _observed(truth: Array) -> Array:
    seen: Array = ~np.isnan(truth)
    if not seen.any():
        raise UserError(
            "A forecast is scored against observed values.",
            "All values of the target are missing there.",
            "Score a part of the file in which the target was observed.",
        )
    return seen


def _error(truth: Array, forecast: Array) -> Array:
    """``y - f`` in 64 bits, so that squares of large values fit."""
    error: Array = np.subtract(truth, forecast, dtype=np.float64)
    return error


def mae(truth: Array, forecast: Array) -> float:
    """Mean absolute error ``mean |y - f|``, in the columns' unit."""
    seen = _observed(truth)
    return float(np.abs(_error(truth, forecast))[seen].mean())


def mse(truth: Array, forecast: Array) -> float:
    """Mean squared error ``mean (y - f)^2``, in the square of the columns' unit."""
    seen = _observed(truth)
    return float(np.square(_error(truth, forecast))[seen].mean())


def rmse(truth: Array, forecast: Array) -> float:
    """Root of the mean squared error, in the columns' unit."""
    return float(np.sqrt(mse(truth, forecast)))


def smape(truth: Array, forecast: Array) -> float:
    """Symmetric mean absolute percentage error ``mean 200 |y - f| / (|y| + |f|)``, 0 to 200; 0/0 counts as 0."""
    seen = _observed(truth)
    error, size = np.abs(_error(truth, forecast))[seen], _error(np.abs(truth), -np.abs(forecast))[seen]
    return float(200 * np.divide(error, size, out=np.zeros_like(error), where=size > 0).mean())


def seasonal_scale(train: Array, season: int) -> Array:
    """MASE's denominator: mean absolute error of the seasonal naive forecast on the training rows [N, C] -> [C].

    0 for a column that repeats itself exactly, or that is shorter than a season.
    """
    if len(train) <= season:
        return np.zeros(train.shape[1])
    error = np.abs(train[season:] - train[:-season])
    seen = ~np.isnan(error)
    total = np.where(seen, error, 0.0).sum(0, dtype=np.float64)
    scale: Array = total / np.maximum(seen.sum(0), 1)
    return scale


def mase(truth: Array, forecast: Array, scale: Array) -> float | None:
    """Mean absolute scaled error ``mean |y - f| / scale`` (Hyndman & Koehler 2006), no unit.

    Args:
        scale: of :func:`seasonal_scale`, [C] or [W, 1, C].

    Returns:
        None where every scale is 0 (the training rows repeat themselves exactly); such columns are left out.
    """
    scale = np.broadcast_to(scale, truth.shape)
    seen = _observed(truth) & (scale > 0)
    if not seen.any():
        return None
    return float((np.abs(_error(truth, forecast))[seen] / scale[seen]).mean())


def pinball(truth: Array, quantiles: Array, levels: Sequence[float]) -> float:
    """Quantile loss ``mean max(q e, (q - 1) e)``, ``e = y - f_q`` (Koenker & Bassett 1978), in the columns' unit."""
    seen = _observed(truth)
    error = _error(truth[..., None], quantiles)
    level = np.asarray(levels)
    return float(np.maximum(level * error, (level - 1) * error)[seen].mean())


def coverage(truth: Array, low: Array, high: Array) -> float:
    """Share of values that lie within [low, high]; the interval's level is what to expect."""
    seen = _observed(truth)
    return float(((truth >= low) & (truth <= high))[seen].mean())


def score(
    truth: Array, point: Array, quantiles: Array | None, levels: Sequence[float], scale: Array
) -> dict[str, float]:
    """``mae rmse smape``, ``mase`` where it exists, and with two levels or more ``pinball coverage``."""
    figures = {"mae": mae(truth, point), "rmse": rmse(truth, point), "smape": smape(truth, point)}
    scaled = mase(truth, point, scale)
    figures |= {} if scaled is None else {"mase": scaled}
    if quantiles is not None and len(levels) > 1:
        figures["pinball"] = pinball(truth, quantiles, levels)
        figures["coverage"] = coverage(truth, quantiles[..., 0], quantiles[..., -1])
    return figures
