"""The gradient of the recurrent weights, as one product over all steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Before:
    """What W_hh read at each step: the output of the step before it, h0 at each sequence's start, times the mask."""

    y: Tensor
    h0: Tensor
    mask: Tensor | None
    lengths: Tensor | None
    reverse: bool

    def gradient(self, da: Tensor, dweight: Tensor) -> None:
        """``sum over t, b of da h_before^T`` into the first rows of dweight.

        ``da`` [T, B, K] is zero past each sequence's end.
        """
        dweight = dweight[: da.size(2)]
        if da.size(0) == 0:
            dweight.zero_()
            return
        later, earlier = (da[:-1], self.y[1:]) if self.reverse else (da[1:], self.y[:-1])
        torch.mm(later.flatten(0, 1).t(), self._masked(earlier).flatten(0, 1), out=dweight)
        dweight.addmm_(self._first(da).t(), self._masked(self.h0))

    def _masked(self, h: Tensor) -> Tensor:
        return h if self.mask is None else h * self.mask

    def _first(self, da: Tensor) -> Tensor:
        """``da`` where each sequence starts: [T, B, K] -> [B, K]."""
        if not self.reverse:
            return da[0]
        if self.lengths is None:
            return da[-1]
        return da[(self.lengths - 1).clamp(0, da.size(0) - 1), torch.arange(da.size(1))]
