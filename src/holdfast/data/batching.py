"""Batches of sequences of similar length, which need little padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from holdfast._typing import Array
from holdfast.validation import check_at_least


class TokenBatches:
    """Batches of sequence indices with a bounded padded size, reshuffled each epoch.

    Lengths are rounded up to a quarter of their power of two (1 ... 8, 10, 12, 14, 16, 20, ...).
    Sequences of the same rounded length are shuffled; the sorted row of all sequences is cut
    wherever a batch is full. The cuts, and so the number of batches, are the same in every epoch.

    Args:
        lengths: time steps of each sequence [N].
        tokens: maximum number of time steps in a batch, padding included; a longer sequence is a
            batch by itself.
        size: maximum number of sequences in a batch.
        seed: seed of the shuffling.

    Raises:
        UserError: ``tokens`` or ``size`` below 1.

    Example:
        >>> batches = TokenBatches([3, 8, 3], tokens=8)
        >>> len(batches), sorted(sorted(map(int, batch)) for batch in batches.of(epoch=1))
        (2, [[0, 2], [1]])
    """

    def __init__(
        self, lengths: Sequence[int] | Array, tokens: int, size: int | None = None, seed: int = 0
    ) -> None:
        check_at_least("tokens", tokens, 1, 6000)
        check_at_least("batch_size", size, 1, 64)
        self.rounded, self.seed = rounded(np.asarray(lengths, np.int64)), seed
        self.cuts = _cuts(np.sort(self.rounded), tokens, size or len(self.rounded))

    def __len__(self) -> int:
        return len(self.cuts) - 1

    def of(self, epoch: int) -> list[Array]:
        """Return the batches of an epoch: arrays of sequence indices, each of 0 ... N - 1 once."""
        random = np.random.default_rng((self.seed, epoch))
        shuffled = random.permutation(len(self.rounded))
        row = shuffled[np.argsort(self.rounded[shuffled], kind="stable")]
        batches = [row[a:b] for a, b in zip(self.cuts[:-1], self.cuts[1:], strict=True)]
        return [batches[i] for i in random.permutation(len(batches))]


def rounded(lengths: Array) -> Array:
    """Round lengths up to a multiple of a quarter of the power of two that they reach."""
    quarter = 2 ** np.maximum(np.floor(np.log2(np.maximum(lengths, 1))).astype(np.int64) - 2, 0)
    found: Array = -(-lengths // quarter) * quarter
    return found


def _cuts(lengths: Array, tokens: int, size: int) -> list[int]:
    """Return where the batches of sorted lengths begin and end."""
    cuts = [0]
    for at, length in enumerate(lengths.tolist()):
        count = at - cuts[-1] + 1
        if count > 1 and (count * length > tokens or count > size):
            cuts.append(at)
    return [*cuts, len(lengths)] if len(lengths) else [0]
