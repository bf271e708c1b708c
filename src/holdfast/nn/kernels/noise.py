"""What dropout and zoneout do to one scan: drawn before it starts, the same in every kernel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_WORD = 0xFFFFFFFF
_STRIDE = 0x9E3779B9


@dataclass(frozen=True)
class Zoneout:
    """How much of each state's old value stays at a step (Krueger et al. 2017).

    In training a unit keeps its old value with probability ``rate``: where a hash of its place (t, b, unit) and of
    ``keys`` (one for each state, drawn for each scan) falls below the rate. Nothing is stored, and any kernel
    finds the same units. Without ``keys`` it is the mean: the share ``rate`` of the old value.

    Args:
        rates: one for each state, in [0, 1).
        keys: int64 [number of states] in 0 ... 2^32 - 1, or None for the mean.
    """

    rates: tuple[float, ...]
    keys: Tensor | None = None

    @classmethod
    def sample(cls, rates: tuple[float, ...]) -> Zoneout:
        """With new keys from torch's generator."""
        return cls(rates, torch.randint(0, _WORD, (len(rates),), device="cpu"))

    def keep(self, t: int, state: int, old: Tensor) -> Tensor:
        """The share of ``old`` [B, width], the ``state``-th state, that stays at step ``t``: [B, width]."""
        rate = self.rates[state]
        if self.keys is None:
            return torch.full_like(old, rate)
        places = torch.arange(t * old.numel(), (t + 1) * old.numel(), device=old.device)
        hashed = _mixed(places & _WORD, self.keys[state].to(old.device))
        return (hashed < _threshold(rate)).to(old.dtype).view_as(old)

    def later(self, places: list[int]) -> Zoneout:
        """The same for a scan whose first unit has these places, one for each state, in the whole."""
        if self.keys is None:
            return self
        return Zoneout(self.rates, (self.keys + torch.tensor(places, device="cpu") * _STRIDE) & _WORD)

    def packed(self) -> Tensor:
        """Threshold, key, and the share kept below and above the threshold, of each state: float64 [4 * states]."""
        if self.keys is None:
            return torch.tensor(
                [v for rate in self.rates for v in (0.0, 0.0, rate, rate)], dtype=torch.float64, device="cpu"
            )
        rows = [[float(_threshold(rate)), 0.0, 1.0, 0.0] for rate in self.rates]
        packed = torch.tensor(rows, dtype=torch.float64, device="cpu")
        packed[:, 1] = self.keys
        return packed.flatten()


def _threshold(rate: float) -> int:
    return int(rate * (_WORD + 1))


def _mixed(place: Tensor, key: Tensor) -> Tensor:
    """The mixer "lowbias32" (C. Wellons, hash-prospector) of 32-bit words held in int64."""
    x = (place * _STRIDE + key) & _WORD
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & _WORD
    x = ((x ^ (x >> 15)) * 0xD35A2D97) & _WORD
    return x ^ (x >> 15)


@dataclass(frozen=True)
class RecurrentNoise:
    """Random or averaged regularisation of one scan.

    ``dropout_mask`` [B, P] multiplies the hidden state before every recurrent product (variational dropout, Gal &
    Ghahramani 2016).
    """

    dropout_mask: Tensor | None = None
    zoneout: Zoneout | None = None
