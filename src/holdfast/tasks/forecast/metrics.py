"""Metrics of forecasts. Values that are missing (NaN) in the truth are left out everywhere.

Shapes: W windows, h horizon, C columns, Q quantile levels; truth and point forecasts [W, h, C],
quantiles [W, h, C, Q].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from holdfast._typing import Array
from holdfast.errors import UserError
from holdfast.tasks.forecast.preprocessing import WindowSplit
from holdfast.tasks.metrics import Metric, Scoreboard

SCOREBOARD = Scoreboard(
    (
        Metric("mae", "MAE", "mean absolute error, in the unit of the column"),
        Metric(
            "rmse",
            "RMSE",
            "square root of the mean squared error, in the unit of the column; large errors count more",
        ),
        Metric("smape", "sMAPE", "symmetric mean absolute percentage error, 0 to 200", "%"),
        Metric(
            "mase",
            "MASE",
            "mean absolute error divided by that of the seasonal naive forecast on the training split; "
            "below 1 is better than that forecast",
        ),
        Metric("pinball", "pinball loss", "mean error of the quantiles, in the unit of the column"),
        Metric(
            "coverage",
            "coverage",
            "share of the values between the outer quantiles; 0.8 is right for 10% to 90%",
            direction="none",
        ),
        Metric(
            "mse_z",
            "standardized MSE",
            "mean squared error after each column is scaled to standard deviation 1, as in published tables",
        ),
        Metric("mae_z", "standardized MAE", "mean absolute error on the same scale"),
        Metric.higher_is_better(
            "direction", "direction", "share of the changes whose sign was forecast; 0.5 is chance"
        ),
    ),
    examples="windows",
    baselines={
        "last_value": "the last value",
        "seasonal_naive": "the seasonal naive forecast",
        "drift": "drift",
        "ets": "ETS",
        "linear": "the linear model",
        "random_walk": "the random walk",
    },
)


@dataclass(frozen=True)
class Forecast:
    """Forecasts on the network's scale: ``point`` [W, h, C] and ``quantiles`` [W, h, C, Q]."""

    point: Array
    quantiles: Array


def truth(split: WindowSplit) -> Array:
    """Return the true values on the network's scale: [W, h, C], NaN where missing."""
    return split.truth(torch.arange(len(split))).numpy()


def error_quantiles(point: Array, split: WindowSplit, levels: Sequence[float]) -> Array:
    """Return the quantiles of ``truth - point`` over all windows: [h, C, Q].

    Taken from the validation split and added to later point forecasts, they give intervals that do
    not depend on the split to be scored (split conformal prediction: Vovk et al. 2005). A step that
    is never observed gets 0.
    """
    errors = truth(split) - point
    table = np.zeros((*errors.shape[1:], len(levels)))
    for step in range(errors.shape[1]):
        for channel in range(errors.shape[2]):
            own = errors[:, step, channel]
            own = own[~np.isnan(own)]
            if len(own):
                table[step, channel] = np.quantile(own, levels)
    return table


def with_intervals(point: Array, errors: Array) -> Forecast:
    """Add the quantiles of earlier errors [h, C, Q] to point forecasts."""
    return Forecast(point, point[..., None] + errors)


def score(split: WindowSplit, forecast: Forecast, levels: Sequence[float]) -> dict[str, float]:
    """Return every metric of a forecast.

    They are in the columns' units, except ``mse_z`` and ``mae_z``, which are on the training scale.
    For returns there is ``direction``, which leaves out returns and forecasts of zero, and no
    ``smape``, which means nothing for values around zero.
    """
    came, table = truth(split), split.table
    true, point = split.unscale(came), split.unscale(forecast.point)
    metrics = metrics_of(
        true, point, split.unscale(forecast.quantiles), levels, table.scales("mase", split.series)
    )
    metrics |= {"mse_z": mse(came, forecast.point), "mae_z": mae(came, forecast.point)}
    if table.prices is not None:
        del metrics["smape"]
        still = 1e-5 * table.scales(
            "std", split.series
        )  # the return of a constant price, except for rounding
        metrics |= _direction(true, point, still)
    return metrics


def _direction(came: Array, point: Array, still: Array) -> dict[str, float]:
    seen = ~np.isnan(came) & (np.abs(came) > still) & (np.abs(point) > 1e-12)
    return {"direction": float(np.mean(np.sign(came[seen]) == np.sign(point[seen])))} if seen.any() else {}


def metrics_of(
    truth: Array, point: Array, quantiles: Array, levels: Sequence[float], scale: Array
) -> dict[str, float]:
    """Return the metrics in the columns' units.

    ``mase`` only where it exists; ``pinball`` and ``coverage`` with two levels or more.
    """
    metrics = {"mae": mae(truth, point), "rmse": rmse(truth, point), "smape": smape(truth, point)}
    scaled = mase(truth, point, scale)
    metrics |= {} if scaled is None else {"mase": scaled}
    if len(levels) > 1:
        metrics["pinball"] = pinball(truth, quantiles, levels)
        metrics["coverage"] = coverage(truth, quantiles[..., 0], quantiles[..., -1])
    return metrics


def _observed(truth: Array) -> Array:
    seen: Array = ~np.isnan(truth)
    if not seen.any():
        raise UserError(
            "A forecast must be scored against observed values.",
            "All values of the target are missing there.",
            "Score rows in which the target was observed.",
        )
    return seen


def _error(truth: Array, forecast: Array) -> Array:
    """Return ``y - f`` in 64 bits, so that squares of large values fit."""
    error: Array = np.subtract(truth, forecast, dtype=np.float64)
    return error


def mae(truth: Array, forecast: Array) -> float:
    """Return the mean absolute error ``mean |y - f|``, in the columns' unit."""
    seen = _observed(truth)
    return float(np.abs(_error(truth, forecast))[seen].mean())


def mse(truth: Array, forecast: Array) -> float:
    """Return the mean squared error ``mean (y - f)^2``, in the square of the columns' unit."""
    seen = _observed(truth)
    return float(np.square(_error(truth, forecast))[seen].mean())


def rmse(truth: Array, forecast: Array) -> float:
    """Return the square root of the mean squared error, in the columns' unit."""
    return float(np.sqrt(mse(truth, forecast)))


def smape(truth: Array, forecast: Array) -> float:
    """Return sMAPE, ``mean 200 |y - f| / (|y| + |f|)``, 0 to 200; 0/0 counts as 0."""
    seen = _observed(truth)
    error, size = np.abs(_error(truth, forecast))[seen], _error(np.abs(truth), -np.abs(forecast))[seen]
    return float(200 * np.divide(error, size, out=np.zeros_like(error), where=size > 0).mean())


def mase(truth: Array, forecast: Array, scale: Array) -> float | None:
    """Return MASE, ``mean |y - f| / scale`` (Hyndman & Koehler 2006), without unit.

    Args:
        scale: of :func:`seasonal_scale`, [C] or [W, 1, C].

    Returns:
        None where every scale is 0 (the training rows repeat themselves exactly); such columns are
        left out.
    """
    scale = np.broadcast_to(scale, truth.shape)
    seen = _observed(truth) & (scale > 0)
    if not seen.any():
        return None
    return float((np.abs(_error(truth, forecast))[seen] / scale[seen]).mean())


def pinball(truth: Array, quantiles: Array, levels: Sequence[float]) -> float:
    """Return the quantile loss ``mean max(q e, (q - 1) e)``, ``e = y - f_q``, in the columns' unit.

    Source: Koenker & Bassett 1978.
    """
    seen = _observed(truth)
    error = _error(truth[..., None], quantiles)
    level = np.asarray(levels)
    return float(np.maximum(level * error, (level - 1) * error)[seen].mean())


def coverage(truth: Array, low: Array, high: Array) -> float:
    """Return the share of values in [low, high]; ideally it is the level of the interval."""
    seen = _observed(truth)
    return float(((truth >= low) & (truth <= high))[seen].mean())
