"""A linear baseline: the whole horizon at once from the last values (NLinear: Zeng et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from holdfast._typing import Array
from holdfast.optional_imports import load_extra
from holdfast.tasks.forecast.baselines import PointBaseline
from holdfast.tasks.forecast.preprocessing import ForecastPreprocessing, WindowSplit

_LONGEST = 336
"""Maximum number of values that a forecast is made from."""

_SAMPLES = 20_000
"""Maximum number of training windows times channels; the windows are spread evenly."""

_VALID_SAMPLES = 5_000
"""The same for the choice of the penalty."""

PENALTIES = (1e-5, 1e-3, 1e-1, 10.0, 1000.0)
"""Ridge penalties, as multiples of the mean square of the inputs times the number of samples."""

_BLOCK = 4096
"""Windows that are forecast together, to limit memory."""


class Linear(PointBaseline):
    """Ridge regression from the last R values to all h steps, shared by all channels and series.

    ``y[k] = anchor + b[k] + sum_r w[k, r] (x[r] - anchor)``, where the anchor is the last value;
    returns have anchor 0. R is at most the look-back. The penalty has the smallest squared error on
    the validation split. Gaps in the training targets have the last seen value.
    """

    name = "linear"
    saved = ("weight", "bias", "intervals")

    def __init__(
        self, preprocessing: ForecastPreprocessing, returns: bool, levels: Sequence[float] = (0.5,)
    ) -> None:
        super().__init__(levels)
        self.length = min(preprocessing.lookback, _LONGEST)
        self.anchored = not returns
        self.weight = np.zeros((1, self.length))
        self.bias = np.zeros(1)

    def fit_point(self, train: WindowSplit, valid: WindowSplit) -> None:
        """Fit weights [h, R] and biases [h] for each penalty, and keep those that validate best."""
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

    def _pairs(self, split: WindowSplit, samples: int) -> tuple[Array, Array]:
        """Return inputs [w * C, R] and targets [w * C, h], less the anchor."""
        origins = split.origins[spread(split, samples)]
        inputs, anchor = self._inputs(split, origins)
        return inputs, _cut(split, origins, split.horizon) - anchor

    def _inputs(self, split: WindowSplit, origins: Array) -> tuple[Array, Array]:
        """Return the last R values less the anchor [w * C, R], and the anchor [w * C, 1]."""
        values = _cut(split, origins - self.length, self.length)
        anchor = values[:, -1:] if self.anchored else np.zeros_like(values[:, -1:])
        return values - anchor, anchor

    def point(self, split: WindowSplit) -> Array:
        """Return the point forecasts [W, h, C]."""
        point = np.empty((len(split), split.horizon, split.table.filled.size(1)), np.float32)
        for begin in range(0, len(split), _BLOCK):
            origins = split.origins[begin : begin + _BLOCK]
            inputs, anchor = self._inputs(split, origins)
            paths = inputs @ self.weight.T + self.bias + anchor
            point[begin : begin + _BLOCK] = paths.reshape(len(origins), -1, split.horizon).transpose(0, 2, 1)
        return point


def spread(split: WindowSplit, samples: int) -> Array:
    """Return numbers of windows, spread evenly: at most ``samples`` over all channels."""
    count = min(len(split), max(1, samples // split.table.filled.size(1)))
    return np.linspace(0, len(split) - 1, count).round().astype(np.int64)


def _cut(split: WindowSplit, starts: Array, length: int) -> Array:
    """Return ``length`` rows from each start, channel by channel: [w] -> [w * C, length]."""
    values = split.table.filled.numpy()[starts[:, None] + np.arange(length)]
    return values.transpose(0, 2, 1).reshape(-1, length).astype(np.float64)
