"""Dropout for sequences."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class LockedDropout(nn.Module):
    """Dropout of the same units at every step: one mask [1, B, H] for [T, B, H]."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """[T, B, H] -> the same shape."""
        return x * self.mask(x) if self.training and self.probability else x

    def mask(self, x: Tensor, size: int | None = None) -> Tensor:
        """[1, B, H] for the B of x and its H, or another one: 0 where dropped, and what keeps the mean elsewhere."""
        ones = x.new_ones(1, x.size(1), size or x.size(-1))
        return F.dropout(ones, self.probability, self.training)
