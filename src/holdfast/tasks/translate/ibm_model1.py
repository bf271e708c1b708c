"""Word alignment by IBM model 1 (Brown et al. 1993), fitted by expectation maximization."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from holdfast._typing import Array

NOTHING = ""
"""The empty source word, part of every sentence."""
MOST = 12_000_000
"""Pairs of a source and a target word within one pair of sentences that are looked at."""


@dataclass(frozen=True)
class Alignment:
    """``t(target | source)`` of every two words that occur in one sentence pair.

    Attributes:
        sources, targets: the words.
        keys: [N], increasing: number of the source word times the count of target words, and number
            of the target.
        chances: [N], ``t``.
        sentences: pairs of sentences that were read.
    """

    sources: list[str]
    targets: list[str]
    keys: Array
    chances: Array
    sentences: int

    @classmethod
    def fit(cls, pairs: Sequence[tuple[list[str], list[str]]], rounds: int = 6) -> Self:
        """Fit ``t`` from equal chances: a target word comes from one source word, or from none.

        Args:
            pairs: the words of a sentence and of its translation.
            rounds: of expectation maximization.
        """
        read = _within(pairs)
        sources, targets = _numbers([NOTHING], (s for s, _ in read)), _numbers([], (t for _, t in read))
        cells, places = _cells(read, sources, targets)
        keys, where = np.unique(cells, return_inverse=True)
        chances = np.ones(len(keys))
        owners = keys // max(1, len(targets))
        for _ in range(rounds):
            counts = np.bincount(where, _shares(chances[where], places), len(keys))
            chances = counts / np.bincount(owners, counts, len(sources))[owners]
        return cls(list(sources), list(targets), keys, chances, len(read))

    def likeliest(self) -> dict[str, str]:
        """The likeliest target word of every source word; of two the one that came first."""
        owners, words = self.keys // max(1, len(self.targets)), self.keys % max(1, len(self.targets))
        order = np.lexsort((words, -self.chances, owners))
        first = order[np.unique(owners[order], return_index=True)[1]]
        pairs = zip(owners[first].tolist(), words[first].tolist())
        return {self.sources[s]: self.targets[t] for s, t in pairs if s}


def _within(pairs: Sequence[tuple[list[str], list[str]]]) -> Sequence[tuple[list[str], list[str]]]:
    """As many pairs from the beginning as :data:`MOST` allows."""
    cells = np.cumsum([(len(source) + 1) * len(target) for source, target in pairs])
    return pairs[: max(1, int(np.searchsorted(cells, MOST, "right")))]


def _numbers(first: Sequence[str], sentences: Iterable[Sequence[str]]) -> dict[str, int]:
    found = dict.fromkeys([*first, *(word for sentence in sentences for word in sentence)])
    return {word: number for number, word in enumerate(found)}


def _cells(
    pairs: Sequence[tuple[list[str], list[str]]], sources: dict[str, int], targets: dict[str, int]
) -> tuple[Array, Array]:
    """Return the key of each two words of a sentence pair [C], and the target's place there [C]."""
    keys, places, place = [], [], 0
    for source, target in pairs:
        rows = np.array([0, *(sources[word] for word in source)], np.int64)
        columns = np.array([targets[word] for word in target], np.int64)
        keys.append((rows[:, None] * len(targets) + columns).ravel())
        places.append(np.tile(np.arange(place, place + len(columns)), len(rows)))
        place += len(columns)
    return np.concatenate(keys), np.concatenate(places)


def _shares(chances: Array, places: Array) -> Array:
    """``P(source word | target word there)`` of each cell."""
    shares: Array = chances / np.bincount(places, chances)[places]
    return shares
