"""Pool the outputs of all time steps into one vector: last, mean, maximum or attention.

Each module maps outputs [T, B, D*H] and lengths [B] to a vector [B, P]; attention also returns the
weight of each step [T, B]. Padding has no influence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn


class _Pooled(NamedTuple):
    """One vector for each sequence [B, P], and the attention weight of each step [T, B]."""

    vector: Tensor
    weights: Tensor | None = None


def _mask(outputs: Tensor, lengths: Tensor) -> Tensor:
    """Return whether each step is within its sequence: [T, B]."""
    return torch.arange(outputs.size(0), device=outputs.device)[:, None] < lengths


class _Pool(nn.Module):
    """Base of the poolings without weights."""

    def __init__(self, hidden: int, directions: int) -> None:
        super().__init__()
        self.hidden, self.size = hidden, hidden * directions


class _Last(_Pool):
    """The final output of each direction: at the last step forward, at the first step backward."""

    def forward(self, outputs: Tensor, lengths: Tensor) -> _Pooled:
        """Map [T, B, D*H] to [B, D*H]."""
        ends = outputs[lengths - 1, torch.arange(outputs.size(1), device=outputs.device), : self.hidden]
        return _Pooled(torch.cat([ends, outputs[0, :, self.hidden :]], 1))


class _Mean(_Pool):
    """The mean over the time steps."""

    def forward(self, outputs: Tensor, lengths: Tensor) -> _Pooled:
        """Map [T, B, D*H] to [B, D*H]."""
        kept = outputs.masked_fill(~_mask(outputs, lengths).unsqueeze(-1), 0.0)
        return _Pooled(kept.sum(0) / lengths.unsqueeze(-1))


class _Max(_Pool):
    """The maximum of each hidden unit over the time steps."""

    def forward(self, outputs: Tensor, lengths: Tensor) -> _Pooled:
        """Map [T, B, D*H] to [B, D*H]."""
        return _Pooled(outputs.masked_fill(~_mask(outputs, lengths).unsqueeze(-1), -torch.inf).amax(0))


class _Attention(nn.Module):
    """``sum_t a_t h_t`` with ``a = softmax_t(v . tanh(W h_t + b))`` (Yang et al. 2016)."""

    def __init__(self, hidden: int, directions: int) -> None:
        super().__init__()
        self.size = hidden * directions
        self.projection = nn.Linear(self.size, self.size)
        self.score = nn.Linear(self.size, 1, bias=False)

    def forward(self, outputs: Tensor, lengths: Tensor) -> _Pooled:
        """Map [T, B, D*H] to [B, D*H] and the weights a [T, B]."""
        scores = self.score(self.projection(outputs).tanh()).squeeze(-1)
        weights = scores.masked_fill(~_mask(outputs, lengths), -torch.inf).softmax(0)
        return _Pooled((weights.unsqueeze(-1) * outputs).sum(0), weights)


class _Concat(nn.Module):
    """The concatenation of last, mean and max (Howard & Ruder 2018)."""

    def __init__(self, hidden: int, directions: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(make(hidden, directions) for make in (_Last, _Mean, _Max))
        self.size = 3 * hidden * directions

    def forward(self, outputs: Tensor, lengths: Tensor) -> _Pooled:
        """Map [T, B, D*H] to [B, 3*D*H]."""
        return _Pooled(torch.cat([part(outputs, lengths).vector for part in self.parts], 1))


POOLINGS: dict[str, Callable[[int, int], nn.Module]] = {
    "last": _Last,
    "mean": _Mean,
    "max": _Max,
    "attention": _Attention,
    "concat": _Concat,
}
"""Name -> class, whose arguments are H and D."""
