"""Dropout with one mask for all time steps."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class LockedDropout(nn.Module):
    """Variational dropout (Gal & Ghahramani 2016): the same units are dropped at every time step.

    Args:
        probability: of dropping a unit.

    Example:
        >>> import torch
        >>> y = LockedDropout(0.5)(torch.ones(7, 2, 3))  # 0 or 2
        >>> torch.equal(y[0], y[6])
        True
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """Multiply [T, B, H] by one mask [1, B, H] in training; change nothing in evaluation."""
        return x * self.mask(x) if self.training and self.probability else x

    def mask(self, x: Tensor, size: int | None = None) -> Tensor:
        """Sample a mask [1, B, size] of 0 and ``1 / (1 - probability)``; ``size`` defaults to H.

        In evaluation it is 1 everywhere.
        """
        ones = x.new_ones(1, x.size(1), size or x.size(-1))
        return F.dropout(ones, self.probability, self.training)
