"""The neural cache (Grave, Joulin & Usunier 2017, arXiv 1612.04426): what followed a similar
context is likely.

``p(w) = (1 - s) p_model(w) + s p_cache(w)`` with ``p_cache(w) = sum of softmax_i(sharpness * h .
h_i)`` over the last positions i that w followed; h are the last layer's outputs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from holdfast.models.truncated_bptt import ScoredChunk

SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
SHARPNESSES = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Values that tuning tries."""


@dataclass(frozen=True)
class CacheScores:
    """Nats of each token [n] by the network, and its probability by the cache [n]."""

    nats: NDArray[np.float64]
    cached: NDArray[np.float64]

    def mixed(self, share: float) -> NDArray[np.float64]:
        """Return ``-log p`` [n] with a share of the cache, none of it while that is empty."""
        share_here = np.where(np.arange(len(self.nats)) == 0, 0.0, share)
        return -np.log((1 - share_here) * np.exp(-self.nats) + share_here * self.cached)


def look_up(
    read: Iterator[ScoredChunk], window: int, sharpnesses: Sequence[float]
) -> dict[float, CacheScores]:
    """Score a text in one stream with a cache of ``window`` tokens, for each sharpness."""
    past: deque[tuple[Tensor, Tensor]] = deque()
    nats: list[Tensor] = []
    cached: dict[float, list[Tensor]] = {sharpness: [] for sharpness in sharpnesses}
    for piece in read:
        hidden, following = piece.hidden[:, 0], piece.following[:, 0]
        past.append((hidden, following))
        keys, tokens = (torch.cat(parts) for parts in zip(*past))
        for sharpness, found in cached.items():
            found.append(_cached(hidden, following, keys, tokens, window, sharpness))
        nats.append(piece.nll[:, 0])
        while len(keys) - len(past[0][0]) >= window:
            keys = keys[len(past.popleft()[0]) :]
    known = torch.cat(nats).cpu().double().numpy()
    return {
        sharpness: CacheScores(known, torch.cat(found).cpu().double().numpy())
        for sharpness, found in cached.items()
    }


def _cached(
    hidden: Tensor, following: Tensor, keys: Tensor, tokens: Tensor, window: int, sharpness: float
) -> Tensor:
    """Return the probability [T] of what followed each of the last T keys, by ``window`` keys."""
    count, steps = len(keys), len(hidden)
    ages = torch.arange(count - steps, count, device=keys.device)[:, None] - torch.arange(
        count, device=keys.device
    )
    scores = (sharpness * hidden @ keys.T).masked_fill((ages < 1) | (ages > window), -torch.inf)
    weights = scores.softmax(-1).nan_to_num(0.0)  # the first token has nothing before it
    return (weights * (tokens == following[:, None])).sum(-1)


def tune(read: Iterator[ScoredChunk], window: int) -> tuple[float, float]:
    """Return the share and the sharpness with the lowest loss on a text."""
    found = look_up(read, window, SHARPNESSES)
    losses = {(share, sharp): found[sharp].mixed(share).mean() for share in SHARES for sharp in SHARPNESSES}
    return min(losses, key=lambda pair: losses[pair])
