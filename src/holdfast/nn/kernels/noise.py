"""Recurrent dropout and zoneout of one scan: sampled before it starts, the same in every kernel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_WORD = 0xFFFFFFFF
_STRIDE = 0x9E3779B9


@dataclass(frozen=True)
class Zoneout:
    """Zoneout (Krueger et al. 2017): ``s' = k * s_old + (1 - k) * s_new`` for each state.

    In training, k is 1 with probability ``rate`` and 0 otherwise: a unit keeps its old value if a
    hash of its position (t, b, unit) and of the state's key is below the rate. Nothing is stored,
    and every kernel finds the same units. Without keys, k is its mean, ``rate``.

    Args:
        rates: one for each state, in [0, 1).
        keys: int64 [number of states] in 0 ... 2^32 - 1, or None for the mean.
    """

    rates: tuple[float, ...]
    keys: Tensor | None = None

    @classmethod
    def sample(cls, rates: tuple[float, ...]) -> Zoneout:
        """Return a zoneout with new keys from torch's generator."""
        return cls(rates, torch.randint(0, _WORD, (len(rates),), device="cpu"))

    def keep(self, t: int, state: int, old: Tensor) -> Tensor:
        """Return k [B, width] of the ``state``-th state at step ``t``, in the dtype of ``old``."""
        rate = self.rates[state]
        if self.keys is None:
            return torch.full_like(old, rate)
        positions = torch.arange(t * old.numel(), (t + 1) * old.numel(), device=old.device)
        hashed = _hash(positions & _WORD, self.keys[state].to(old.device))
        return (hashed < _threshold(rate)).to(old.dtype).view_as(old)

    def shifted(self, positions: list[int]) -> Zoneout:
        """Return the zoneout of a scan that begins at these positions, one for each state."""
        if self.keys is None:
            return self
        return Zoneout(self.rates, (self.keys + torch.tensor(positions, device="cpu") * _STRIDE) & _WORD)

    def packed(self) -> Tensor:
        """Return the core's form: float64 [4 * number of states].

        For each state: threshold, key, and k for hashes below and above the threshold.
        """
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


def _hash(position: Tensor, key: Tensor) -> Tensor:
    """Hash 32-bit words, stored in int64, by "lowbias32" (C. Wellons, hash-prospector)."""
    x = (position * _STRIDE + key) & _WORD
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & _WORD
    x = ((x ^ (x >> 15)) * 0xD35A2D97) & _WORD
    return x ^ (x >> 15)


@dataclass(frozen=True)
class RecurrentNoise:
    """Regularization of one scan.

    ``dropout_mask`` [B, P] multiplies the hidden state before every recurrent product (variational
    dropout, Gal & Ghahramani 2016).
    """

    dropout_mask: Tensor | None = None
    zoneout: Zoneout | None = None
