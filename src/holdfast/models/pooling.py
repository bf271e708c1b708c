"""From the outputs at every step to one vector: the last, the mean, the largest, or a learnt mixture.

Each takes outputs [T, B, D*H] and lengths [B] and gives [B, P], and the weight of each step [T, B] where it has one.
What stands behind a sequence's end has no influence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn


class _Pooled(NamedTuple):
    """One vector for each sequence [B, P], and the weight of each step [T, B]."""

    vector: Tensor
    weights: Tensor | None = None


def inside(outputs: Tensor, lengths: Tensor) -> Tensor:
    """Whether a step is within its sequence: [T, B]."""
    return torch.arange(len(outputs), device=outputs.device)[:, None] < lengths


class Last(nn.Module):
    """Where each direction ends: the last step of the forward one, the first of the backward one."""

    def __init__(self, hidden: int, directions: int) -> None:
        super().__init__()
        self.hidden, self.size = hidden, hidden * directions

    def forward(self, outputs: Tensor, lengths: Tensor) -> _Pooled:
        """[T, B, D*H] -> [B, D*H]."""
        ends = outputs[lengths - 1, torch.arange(outputs.size(1), device=outputs.device), : self.hidden]
        return _Pooled(torch.cat([ends, outputs[0, :, self.hidden :]], 1))


class Mean(nn.Module):
    """The mean over a sequence's steps."""

    def __init__(self, hidden: int, directions: int) -> None:
        super().__init__()
        self.size = hidden * directions

    def forward(self, outputs: Tensor, lengths: Tensor) -> _Pooled:
        """[T, B, D*H] -> [B, D*H]."""
        kept = outputs.masked_fill(~inside(outputs, lengths).unsqueeze(-1), 0.0)
        return _Pooled(kept.sum(0) / lengths.unsqueeze(-1))


class _Max(nn.Module):
    """The largest value of each unit over a sequence's steps."""

    def __init__(self, hidden: int, directions: int) -> None:
        super().__init__()
        self.size = hidden * directions

    def forward(self, outputs: Tensor, lengths: Tensor) -> _Pooled:
        """[T, B, D*H] -> [B, D*H]."""
        return _Pooled(outputs.masked_fill(~inside(outputs, lengths).unsqueeze(-1), -torch.inf).amax(0))


class Attention(nn.Module):
    """``sum_t a_t h_t`` with ``a = softmax_t(v . tanh(W h_t + b))`` (Yang et al. 2016)."""

    def __init__(self, hidden: int, directions: int) -> None:
        super().__init__()
        self.size = hidden * directions
        self.projection = nn.Linear(self.size, self.size)
        self.score = nn.Linear(self.size, 1, bias=False)

    def forward(self, outputs: Tensor, lengths: Tensor) -> _Pooled:
        """[T, B, D*H] -> [B, D*H], and a [T, B]."""
        scores = self.score(self.projection(outputs).tanh()).squeeze(-1)
        weights = scores.masked_fill(~inside(outputs, lengths), -torch.inf).softmax(0)
        return _Pooled((weights.unsqueeze(-1) * outputs).sum(0), weights)


class _Concat(nn.Module):
    """Last, mean and max side by side (Howard & Ruder 2018)."""

    def __init__(self, hidden: int, directions: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(make(hidden, directions) for make in (Last, Mean, _Max))
        self.size = 3 * hidden * directions

    def forward(self, outputs: Tensor, lengths: Tensor) -> _Pooled:
        """[T, B, D*H] -> [B, 3*D*H]."""
        return _Pooled(torch.cat([part(outputs, lengths).vector for part in self.parts], 1))


POOLINGS: dict[str, Callable[[int, int], nn.Module]] = {
    "last": Last,
    "mean": Mean,
    "max": _Max,
    "attention": Attention,
    "concat": _Concat,
}
"""Name -> class, made from H and D."""
