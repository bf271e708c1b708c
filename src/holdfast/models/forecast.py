"""Forecasting networks: a step-wise and a segment-wise recurrent encoder, both decoding the whole horizon at once.

Letters: B batch, L lookback, h horizon, F features, K known future features, C target channels, Q quantiles,
H hidden size, N segments read, M segments forecast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from holdfast.errors import UserError
from holdfast.nn.cells import Recurrence, State
from holdfast.nn.layers import LAYERS
from holdfast.nn.recurrent import Recurrent

T = TypeVar("T")
_OWN_ARGUMENTS = ("bidirectional", "proj_size", "batch_first", "dropout")


@dataclass(frozen=True, kw_only=True)
class ForecastShape:
    """Sizes of a forecasting problem.

    Attributes:
        targets: C, the channels to forecast: the first C features.
        features: F, what is read at each past step.
        known: K, what is known of each future step (calendar, plans).
        lookback: L, past steps read.
        horizon: h, steps forecast.
        quantiles: Q; 1 is a point forecast (the median, under an absolute loss).
        season: steps in a season; 1 for none.

    Raises:
        UserError: a size that is too small.
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
                raise UserError(
                    f"{name} is at least {minimum}.", f"It was {value}.", f"Give a larger {name}."
                )


@dataclass(frozen=True, kw_only=True)
class ForecastOptions:
    """What a network is made of.

    Attributes:
        cell: a name in :data:`holdfast.nn.layers.LAYERS`.
        hidden_size: H.
        num_layers: recurrent layers.
        dropout: probability of dropping a unit between layers and before each linear layer of the decoder.
        residual: a name in :data:`RESIDUALS`: the simple forecast to which the network adds a correction.
        segment: steps in a segment (:class:`SegmentForecaster` only).
        layer: further arguments of the recurrent layer, e.g. ``{"layer_norm": True}``.
    """

    cell: str = "gru"
    hidden_size: int = 64
    num_layers: int = 1
    dropout: float = 0.1
    residual: str = "last"
    segment: int = 24
    layer: Mapping[str, Any] = field(default_factory=dict)


# -- the simple forecast under the network --------------------------------------------------------------------


class _Residual(Protocol):
    """A simple forecast, and the level against which the network reads the past."""

    def anchor(self, targets: Tensor) -> Tensor:
        """[B, L, C] -> [B, 1, C]: what is subtracted from the targets before the network reads them."""
        ...

    def base(self, targets: Tensor) -> Tensor:
        """[B, L, C] -> [B, h, C]: what is added to the network's output."""
        ...


class Nothing:
    """No anchor and no base: the network forecasts the values themselves."""

    def __init__(self, shape: ForecastShape) -> None:
        self.horizon = shape.horizon

    def anchor(self, targets: Tensor) -> Tensor:
        """Zeros [B, 1, C]."""
        return torch.zeros_like(targets[:, -1:])

    def base(self, targets: Tensor) -> Tensor:
        """Zeros [B, h, C]."""
        return self.anchor(targets).expand(-1, self.horizon, -1)


class Last(Nothing):
    """Anchor and base are the last value (the "naive" forecast)."""

    def anchor(self, targets: Tensor) -> Tensor:
        """The last value [B, 1, C]."""
        return targets[:, -1:]


class Mean(Nothing):
    """Anchor and base are the mean of the last season: for noisy series a steadier level than the last value.

    Raises:
        UserError: the lookback is shorter than the season.
    """

    def __init__(self, shape: ForecastShape) -> None:
        super().__init__(shape)
        self.season = shape.season
        if shape.season > shape.lookback:
            raise UserError(
                "The level of a season needs a whole season in the lookback.",
                f"The season is {shape.season} steps and the lookback {shape.lookback}.",
                f"Read at least {shape.season} steps, or take residual 'last'.",
            )

    def anchor(self, targets: Tensor) -> Tensor:
        """The mean of the last season [B, 1, C]."""
        return targets[:, -self.season :].mean(1, keepdim=True)


class Season(Mean):
    """Base is the last season over and over (seasonal naive), anchor its mean."""

    def base(self, targets: Tensor) -> Tensor:
        """The value of the same phase in the last season [B, h, C]."""
        times = -(-self.horizon // self.season)
        return targets[:, -self.season :].repeat(1, times, 1)[:, : self.horizon]


RESIDUALS: dict[str, Callable[[ForecastShape], _Residual]] = {
    "last": Last,
    "mean": Mean,
    "season": Season,
    "none": Nothing,
}


# -- parts ----------------------------------------------------------------------------------------------------


def monotone(raw: Tensor) -> Tensor:
    """Quantiles that never cross: [..., Q] -> [..., Q], not decreasing along Q.

    The middle entry (index ``Q // 2``: the median of an odd number of levels) stands as it is; from it outwards
    each entry is one step ``softplus(raw)`` further. Q = 1 is returned unchanged.
    """
    middle = raw.size(-1) // 2
    steps, centre = F.softplus(raw), raw[..., middle : middle + 1]
    below = steps[..., :middle].flip(-1).cumsum(-1).flip(-1)
    above = steps[..., middle + 1 :].cumsum(-1)
    return torch.cat([centre - below, centre, centre + above], -1)


def branch(layer: Recurrent, queries: Tensor, state: State) -> Tensor:
    """One step of the layers from every state under every query.

    The cell's step broadcasts: ``W_hh h`` is computed once for a state and (in the first layer) ``W_ih q`` once
    for a query, not once for each of the B*M pairs. Recurrent dropout and zoneout do not act on this step.

    Args:
        layer: one direction.
        queries: [C, M, H], the inputs of the step.
        state: one or two of [layers, B*C, H].

    Returns:
        The last layer's hidden state [B, C, M, H].
    """
    x = queries
    for k in range(layer.num_layers):
        weights = layer.weights(f"_l{k}")
        before = tuple(s[k].reshape(-1, len(queries), 1, s.size(-1)) for s in state)
        after, _ = layer.cell.step(weights.project(x), before, Recurrence(layer.cell, weights))
        x = F.dropout(after[0], layer.dropout, layer.training and k + 1 < layer.num_layers)
    return x


def _choose(kind: str, table: Mapping[str, T], name: str) -> T:
    if name not in table:
        known = ", ".join(table)
        raise UserError(f"A {kind} is one of: {known}.", f"It was {name!r}.", f"Give one of these as {kind}.")
    return table[name]


def _layer(input_size: int, options: ForecastOptions) -> Recurrent:
    taken = [name for name in _OWN_ARGUMENTS if name in options.layer]
    if taken:
        raise UserError(
            "A forecasting network sets the direction, layout and dropout of its layer itself.",
            f"The layer's arguments held {', '.join(taken)}.",
            "Leave them out; dropout is an option of the network.",
        )
    make = _choose("cell", LAYERS, options.cell)
    dropout = options.dropout if options.num_layers > 1 else 0.0
    return make(
        input_size,
        options.hidden_size,
        options.num_layers,
        batch_first=True,
        dropout=dropout,
        **options.layer,
    )


class _Forecaster(nn.Module):
    """Residual around a network: the base forecast plus what :meth:`_correction` returns."""

    def __init__(self, shape: ForecastShape, options: ForecastOptions) -> None:
        super().__init__()
        self.shape, self.options = shape, options
        self.residual = _choose("residual", RESIDUALS, options.residual)(shape)
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, past: Tensor, known: Tensor | None = None) -> Tensor:
        """Forecast the whole horizon.

        Args:
            past: [B, L, F], the targets first, without NaN.
            known: [B, h, K]; may be None where K is 0.

        Returns:
            [B, h, C, Q], not decreasing along Q.
        """
        targets = past[..., : self.shape.targets]
        known = past.new_zeros(len(past), self.shape.horizon, 0) if known is None else known
        correction = self._correction(past, targets - self.residual.anchor(targets), known)
        return self.residual.base(targets).unsqueeze(-1) + monotone(correction)

    def _correction(self, past: Tensor, anchored: Tensor, known: Tensor) -> Tensor:
        """[B, L, F], the targets less their anchor [B, L, C], [B, h, K] -> [B, h, C, Q]."""
        raise NotImplementedError


# -- networks -------------------------------------------------------------------------------------------------


class RecurrentForecaster(_Forecaster):
    """Recurrent encoder over the steps, direct decoder (after MQ-RNN, Wen et al. 2017).

    The encoder reads all features of each past step. For each future step a perceptron sees the final hidden
    state multiplied by a learned embedding of the step, the known features of that step and the targets of
    the same phase one season before; all steps are decoded at once, so no error feeds on an earlier one.
    """

    def __init__(self, shape: ForecastShape, options: ForecastOptions) -> None:
        super().__init__(shape, options)
        hidden = options.hidden_size
        self.phase = Season(shape) if shape.season <= shape.lookback else Last(shape)
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
        return values.view(len(past), self.shape.horizon, self.shape.targets, self.shape.quantiles)


class SegmentForecaster(_Forecaster):
    """Segment recurrent network (SegRNN, Lin et al. 2023, arXiv 2308.11200).

    Each target channel is read alone, as N segments of ``segment`` steps, each embedded in H units; one more
    step of the recurrent layer from the final state, under a query for each future segment (half position, half
    channel embedding), forecasts all M segments at once. Other features, past and known, are not used.

    A lookback that is no multiple of the segment loses its oldest steps; of a last segment that reaches past
    the horizon the end is cut.

    Raises:
        UserError: the lookback is shorter than a segment.
    """

    def __init__(self, shape: ForecastShape, options: ForecastOptions) -> None:
        super().__init__(shape, options)
        if not 1 <= options.segment <= shape.lookback:
            raise UserError(
                "A segment is at least one step and fits into the lookback.",
                f"The segment is {options.segment} steps and the lookback {shape.lookback}.",
                "Read more steps or take shorter segments.",
            )
        hidden, segment = options.hidden_size, options.segment
        self.steps_read = shape.lookback // segment * segment
        self.embed = nn.Linear(segment, hidden)
        self.encoder = _layer(hidden, options)
        self.position = nn.Parameter(torch.randn(-(-shape.horizon // segment), hidden // 2))
        self.channel = nn.Parameter(torch.randn(shape.targets, hidden - hidden // 2))
        self.head = nn.Linear(hidden, segment * shape.quantiles)

    def _queries(self) -> Tensor:
        """Position beside channel embedding: [C, M, H]."""
        position = self.position.expand(len(self.channel), -1, -1)
        channel = self.channel.unsqueeze(1).expand(-1, len(self.position), -1)
        return torch.cat([position, channel], -1)

    def _correction(self, past: Tensor, anchored: Tensor, known: Tensor) -> Tensor:
        batch, channels, segment = len(past), self.shape.targets, self.options.segment
        read = anchored[:, -self.steps_read :].transpose(1, 2)  # [B, C, L]
        _, final = self.encoder(F.relu(self.embed(read.reshape(batch * channels, -1, segment))))
        state = final if isinstance(final, tuple) else (final,)
        decoded = self.dropout(branch(self.encoder, self._queries(), state))  # [B, C, M, H]
        values: Tensor = self.head(decoded).view(batch, channels, -1, self.shape.quantiles)
        return values[:, :, : self.shape.horizon].transpose(1, 2)
