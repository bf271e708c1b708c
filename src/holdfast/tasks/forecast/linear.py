"""A linear forecaster as a baseline: the whole horizon at once from the last values (NLinear: Zeng et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from holdfast._typing import Array
from holdfast.optional_imports import load_extra
from holdfast.tasks.forecast.preprocessing import Schema
from holdfast.tasks.forecast.windows import Part

LONGEST = 336
"""Values looked back on, at most."""

_SAMPLES = 20_000
"""Training windows times channels, at most, spread evenly."""

_VALID_SAMPLES = 5_000
"""The same for the choice of the penalty."""

PENALTIES = (1e-5, 1e-3, 1e-1, 10.0, 1000.0)
"""Ridge penalties, as multiples of the mean square of the inputs times the number of samples."""

BLOCK = 4096
"""Windows forecast together, to bound memory."""


class Linear:
    """Ridge regression from the last R values (at most the look-back) to all h steps, one for all channels and series.

    ``y[k] = anchor + b[k] + sum_r w[k, r] (x[r] - anchor)``, where the anchor is the last value; returns have anchor 0.
    The penalty is the one with the least squared error on the validation part. Gaps in the targets that it learns from
    are at the last seen value.
    """

    name = "linear"

    def __init__(self, schema: Schema, returns: bool) -> None:
        self.length = min(schema.lookback, LONGEST)
        self.anchored = not returns
        self.weight = np.zeros((1, self.length))
        self.bias = np.zeros(1)

    def fit(self, train: Part, valid: Part) -> None:
        """Fit the weights [h, R] and biases [h] for each penalty, and keep those that validate best."""
        model = load_extra("sklearn.linear_model", "forecast")
        inputs, targets = self._pairs(train, _SAMPLES)
        held_inputs, held_targets = self._pairs(valid, _VALID_SAMPLES)
        scale = ((inputs - inputs.mean(0)) ** 2).sum() / self.length or 1.0
        best = np.inf
        for penalty in PENALTIES:
            ridge = model.Ridge(alpha=penalty * scale).fit(inputs, targets)
            weight, bias = np.atleast_2d(ridge.coef_), np.atleast_1d(ridge.intercept_)
            error = float(np.mean((held_inputs @ weight.T + bias - held_targets) ** 2))
            if error < best:
                best, self.weight, self.bias = error, weight, bias

    def _pairs(self, part: Part, samples: int) -> tuple[Array, Array]:
        """Inputs and targets, both less the anchor, of windows spread evenly: [w * C, R], [w * C, h]."""
        origins = part.origins[spread(part, samples)]
        inputs, anchor = self._inputs(part, origins)
        return inputs, _cut(part, origins, part.horizon) - anchor

    def _inputs(self, part: Part, origins: Array) -> tuple[Array, Array]:
        """The last R values less the anchor, and the anchor: [w] origins -> [w * C, R], [w * C, 1]."""
        values = _cut(part, origins - self.length, self.length)
        anchor = values[:, -1:] if self.anchored else np.zeros_like(values[:, -1:])
        return values - anchor, anchor

    def forecast(self, part: Part) -> Array:
        """Point forecasts [W, h, C]."""
        point = np.empty((len(part), part.horizon, part.rows.filled.size(1)), np.float32)
        for begin in range(0, len(part), BLOCK):
            origins = part.origins[begin : begin + BLOCK]
            inputs, anchor = self._inputs(part, origins)
            paths = inputs @ self.weight.T + self.bias + anchor
            point[begin : begin + BLOCK] = paths.reshape(len(origins), -1, part.horizon).transpose(0, 2, 1)
        return point

    def state(self) -> dict[str, Array]:
        """What :meth:`fit` found."""
        return {"weight": self.weight, "bias": self.bias}

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Take what :meth:`state` gave."""
        self.weight, self.bias = arrays["weight"], arrays["bias"]


def spread(part: Part, samples: int) -> Array:
    """Numbers of windows, evenly spread, that give at most ``samples`` over all channels (at least one window)."""
    count = min(len(part), max(1, samples // part.rows.filled.size(1)))
    return np.linspace(0, len(part) - 1, count).round().astype(np.int64)


def _cut(part: Part, starts: Array, length: int) -> Array:
    """Rows from each start on, channel by channel: [w] -> [w * C, length]."""
    values = part.rows.filled.numpy()[starts[:, None] + np.arange(length)]
    return values.transpose(0, 2, 1).reshape(-1, length).astype(np.float64)
