"""Batches of sequences of like length."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


class TokenBatches:
    """Batches that hold about the same number of units with their padding.

    Sequences are sorted by length and cut; each epoch moves every length by a little chance before, so that batches
    differ from epoch to epoch and are always as many.

    Args:
        lengths: [N], of the longer side where a sequence has two.
        budget: units in a batch, padding counted.
    """

    def __init__(self, lengths: Ids, budget: int) -> None:
        self.lengths = lengths
        self.cuts = _cuts(np.sort(lengths), budget)

    def __len__(self) -> int:
        return len(self.cuts) + 1

    def epoch(self, random: np.random.Generator) -> list[Ids]:
        """The numbers of the sequences of each batch, batches in any order."""
        keys = self.lengths + random.uniform(0.0, 2.0, len(self.lengths))
        batches = np.split(np.argsort(keys), self.cuts)
        return [batches[k] for k in random.permutation(len(batches))]


def _cuts(lengths: Ids, budget: int) -> list[int]:
    """Where sorted lengths are cut so that ``count * longest`` stays within the budget (one is always taken)."""
    cuts, start = [], 0
    for at, length in enumerate(lengths.tolist()):
        if at > start and (at - start + 1) * length > budget:
            cuts.append(at)
            start = at
    return cuts


def padded(sequences: list[Ids], fill: int) -> Ids:
    """Sequences side by side: [T, B], the shorter ones filled up."""
    table = np.full((max(map(len, sequences), default=0), len(sequences)), fill, np.int64)
    for column, sequence in enumerate(sequences):
        table[: len(sequence), column] = sequence
    return table
