"""Forecasting networks that read single steps or segments and forecast the whole horizon at once.

Letters: B batch, L lookback, h horizon, F features, K known future features, C target channels, Q
quantiles, H hidden size, N segments read, M segments forecast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from holdfast.errors import UserError
from holdfast.models.options import ForecastOptions
from holdfast.nn.cells import Recurrence, State
from holdfast.nn.layers import LAYERS
from holdfast.nn.recurrent import Recurrent

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ForecastShape:
    """Sizes of a forecasting problem.

    Attributes:
        targets: C, the channels to forecast: the first C features.
        features: F, the values of each past step.
        known: K, the values known for each future step (calendar, plans).
        lookback: L, past steps to read.
        horizon: h, steps to forecast.
        quantiles: Q; 1 is a point forecast (the median, under an absolute loss).
        season: steps in a season; 1 if there is none.

    Raises:
        UserError: a size is too small.
    """

    targets: int
    features: int
    lookback: int
    horizon: int
    known: int = 0
    quantiles: int = 1
    season: int = 1

    def __post_init__(self) -> None:
        least = dict.fromkeys(("targets", "lookback", "horizon", "quantiles", "season"), 1)
        least |= {"features": self.targets, "known": 0}
        for name, minimum in least.items():
            value = getattr(self, name)
            if value < minimum:
                raise UserError(f"{name} must be at least {minimum}.", f"It is {value}.", f"Increase {name}.")


# -- residual forecasts ---------------------------------------------------------------------------------------


class _Residual(Protocol):
    """A simple forecast that the network corrects, and the level subtracted from its input."""

    def anchor(self, targets: Tensor) -> Tensor:
        """Return the level [B, 1, C] that is subtracted from the targets [B, L, C]."""
        ...

    def base(self, targets: Tensor) -> Tensor:
        """Return the simple forecast [B, h, C] from the targets [B, L, C]."""
        ...


class _NoResidual:
    """Zeros: the network forecasts the values themselves."""

    def __init__(self, shape: ForecastShape) -> None:
        self.horizon = shape.horizon

    def anchor(self, targets: Tensor) -> Tensor:
        return torch.zeros_like(targets[:, -1:])

    def base(self, targets: Tensor) -> Tensor:
        return self.anchor(targets).expand(-1, self.horizon, -1)


class _LastValue(_NoResidual):
    """The last value, as level and forecast (the naive forecast)."""

    def anchor(self, targets: Tensor) -> Tensor:
        return targets[:, -1:]


class _SeasonMean(_NoResidual):
    """The mean of the last season, as level and forecast: steadier than the last value.

    Raises:
        UserError: the lookback is shorter than the season.
    """

    def __init__(self, shape: ForecastShape) -> None:
        super().__init__(shape)
        self.season = shape.season
        if shape.season > shape.lookback:
            raise UserError(
                "The lookback must hold at least one season for a seasonal residual.",
                f"The season has {shape.season} steps, the lookback {shape.lookback}.",
                f"Increase the lookback to at least {shape.season} steps, or choose residual 'last'.",
            )

    def anchor(self, targets: Tensor) -> Tensor:
        return targets[:, -self.season :].mean(1, keepdim=True)


class _SeasonalNaive(_SeasonMean):
    """The last season repeated as the forecast (seasonal naive), its mean as the level."""

    def base(self, targets: Tensor) -> Tensor:
        times = -(-self.horizon // self.season)
        return targets[:, -self.season :].repeat(1, times, 1)[:, : self.horizon]


RESIDUALS: dict[str, Callable[[ForecastShape], _Residual]] = {
    "last": _LastValue,
    "mean": _SeasonMean,
    "season": _SeasonalNaive,
    "none": _NoResidual,
}
"""Name -> the simple forecast under the network."""


# -- shared steps ---------------------------------------------------------------------------------------------


def monotone(raw: Tensor) -> Tensor:
    """Map raw outputs to quantiles that do not cross: [..., Q] -> [..., Q], non-decreasing along Q.

    The middle entry (index ``Q // 2``, the median if Q is odd) is unchanged. Each entry outwards
    from it is ``softplus(raw)`` further away. With Q = 1 nothing changes.

    Example:
        >>> monotone(torch.tensor([0.0, 5.0, 0.0])).round(decimals=2)
        tensor([4.3100, 5.0000, 5.6900])
    """
    middle = raw.size(-1) // 2
    steps, center = F.softplus(raw), raw[..., middle : middle + 1]
    below = steps[..., :middle].flip(-1).cumsum(-1).flip(-1)
    above = steps[..., middle + 1 :].cumsum(-1)
    return torch.cat([center - below, center, center + above], -1)


def branch(layer: Recurrent, queries: Tensor, state: State) -> Tensor:
    """Run one step of the layers from every state with every query as input.

    The cell's step broadcasts: ``W_hh h`` is computed once for each state, and in the first layer
    ``W_ih q`` once for each query, rather than for all B*M pairs. Recurrent dropout and zoneout do
    not apply to this step.

    Args:
        layer: a unidirectional layer.
        queries: [C, M, H], the inputs of the step.
        state: one or two of [layers, B*C, H].

    Returns:
        The last layer's hidden state [B, C, M, H].
    """
    x = queries
    for k in range(layer.num_layers):
        weights = layer.weights(f"_l{k}")
        before = tuple(s[k].reshape(-1, queries.size(0), 1, s.size(-1)) for s in state)
        after, _ = layer.cell.step(weights.project(x), before, Recurrence(layer.cell, weights))
        x = F.dropout(after[0], layer.dropout, layer.training and k + 1 < layer.num_layers)
    return x


def _choose(kind: str, table: Mapping[str, T], name: str) -> T:
    if name not in table:
        known = ", ".join(table)
        raise UserError(
            f"{kind} must be one of: {known}.", f"It is {name!r}.", f"Choose one of these for {kind}."
        )
    return table[name]


def _layer(input_size: int, options: ForecastOptions) -> Recurrent:
    dropout = options.dropout if options.num_layers > 1 else 0.0
    make = _choose("cell", LAYERS, options.cell)
    return make(input_size, options.hidden_size, options.num_layers, batch_first=True, dropout=dropout)


class _Forecaster(nn.Module):
    """Base of the networks: the simple forecast plus what :meth:`_correction` returns."""

    def __init__(self, shape: ForecastShape, options: ForecastOptions) -> None:
        super().__init__()
        self.shape, self.options = shape, options
        self.residual = _choose("residual", RESIDUALS, options.residual)(shape)
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, past: Tensor, known: Tensor | None = None) -> Tensor:
        """Forecast the whole horizon.

        Args:
            past: [B, L, F], targets first, without NaN.
            known: [B, h, K]; may be None where K is 0.

        Returns:
            [B, h, C, Q], non-decreasing along Q.
        """
        targets = past[..., : self.shape.targets]
        known = past.new_zeros(past.size(0), self.shape.horizon, 0) if known is None else known
        correction = self._correction(past, targets - self.residual.anchor(targets), known)
        return self.residual.base(targets).unsqueeze(-1) + monotone(correction)

    def _correction(self, past: Tensor, anchored: Tensor, known: Tensor) -> Tensor:
        """Map [B, L, F], the targets minus their level [B, L, C] and [B, h, K] to [B, h, C, Q]."""
        raise NotImplementedError


# -- networks -------------------------------------------------------------------------------------------------


class RecurrentForecaster(_Forecaster):
    """Recurrent encoder with a direct decoder (after MQ-RNN, Wen et al. 2017).

    The encoder reads all features of each past step. For each future step, a perceptron reads the
    final hidden state times a learned embedding of the step, the known features of that step, and
    the targets of the same phase one season before. All steps are decoded at once, so errors do not
    accumulate.

    Example:
        >>> shape = ForecastShape(targets=1, features=3, lookback=12, horizon=5)
        >>> RecurrentForecaster(shape, ForecastOptions(residual="last"))(torch.zeros(2, 12, 3)).shape
        torch.Size([2, 5, 1, 1])
    """

    def __init__(self, shape: ForecastShape, options: ForecastOptions) -> None:
        super().__init__(shape, options)
        hidden = options.hidden_size
        self.phase = (_SeasonalNaive if shape.season <= shape.lookback else _LastValue)(shape)
        self.encoder = _layer(shape.features, options)
        self.context = nn.Linear(hidden, hidden)
        self.future = nn.Linear(shape.known + shape.targets, hidden)
        self.step = nn.Parameter(torch.randn(shape.horizon, hidden))
        self.middle = nn.Linear(hidden, hidden)
        self.head = nn.Linear(hidden, shape.targets * shape.quantiles)

    def _correction(self, past: Tensor, anchored: Tensor, known: Tensor) -> Tensor:
        outputs, _ = self.encoder(torch.cat([anchored, past[..., self.shape.targets :]], -1))
        future = torch.cat([known, self.phase.base(anchored)], -1)
        first = self.context(outputs[:, -1:]) * self.step + self.future(future)  # [B, h, H]
        second = self.middle(self.dropout(F.relu(first)))
        values: Tensor = self.head(self.dropout(F.relu(second)))
        return values.view(past.size(0), self.shape.horizon, self.shape.targets, self.shape.quantiles)


class SegmentForecaster(_Forecaster):
    """Segment recurrent network (SegRNN, Lin et al. 2023, arXiv 2308.11200).

    The network reads each target channel alone, as N segments of ``segment`` steps, each embedded
    in H units. One more step of the recurrent layer from the final state, with a query for each
    future segment (half position embedding, half channel embedding), forecasts all M segments at
    once. Other features, past and known, are not used.

    If the lookback is no multiple of the segment, its oldest steps are dropped. Steps of the last
    segment beyond the horizon are cut.

    Raises:
        UserError: the segment does not fit into the lookback.
    """

    def __init__(self, shape: ForecastShape, options: ForecastOptions) -> None:
        super().__init__(shape, options)
        if options.segment > shape.lookback:
            raise UserError(
                "A segment must fit into the lookback.",
                f"The segment has {options.segment} steps, the lookback {shape.lookback}.",
                "Increase the lookback or shorten the segment.",
            )
        hidden, segment = options.hidden_size, options.segment
        self.steps_read = shape.lookback // segment * segment
        self.embed = nn.Linear(segment, hidden)
        self.encoder = _layer(hidden, options)
        self.position = nn.Parameter(torch.randn(-(-shape.horizon // segment), hidden // 2))
        self.channel = nn.Parameter(torch.randn(shape.targets, hidden - hidden // 2))
        self.head = nn.Linear(hidden, segment * shape.quantiles)

    def _queries(self) -> Tensor:
        """Return position and channel embeddings, concatenated: [C, M, H]."""
        position = self.position.expand(self.channel.size(0), -1, -1)
        channel = self.channel.unsqueeze(1).expand(-1, self.position.size(0), -1)
        return torch.cat([position, channel], -1)

    def _correction(self, past: Tensor, anchored: Tensor, known: Tensor) -> Tensor:
        batch, channels, segment = past.size(0), self.shape.targets, self.options.segment
        read = anchored[:, -self.steps_read :].transpose(1, 2)  # [B, C, L]
        _, final = self.encoder(F.relu(self.embed(read.reshape(batch * channels, -1, segment))))
        state = final if isinstance(final, tuple) else (final,)
        decoded = self.dropout(branch(self.encoder, self._queries(), state))  # [B, C, M, H]
        values: Tensor = self.head(decoded).view(batch, channels, -1, self.shape.quantiles)
        return values[:, :, : self.shape.horizon].transpose(1, 2)
