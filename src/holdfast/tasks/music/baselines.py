"""Baselines of music: each key by itself for piano rolls, n-grams for events."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from holdfast._typing import Array
from holdfast.decoding.ngram import MAX_TOKENS
from holdfast.tasks.baselines import Baseline, NGramBaselineSet
from holdfast.tasks.music.metrics import LONGEST_NGRAM, RollPredictions
from holdfast.tasks.music.preprocessing import EventPreprocessing, EventSplit, RollSplit


class Marginal(Baseline[RollSplit, RollPredictions]):
    """How often each key sounds [K], with one count added to each outcome (Laplace)."""

    name = "marginal"
    prefix = ""
    probability: Array

    def fit(self, train: RollSplit, valid: RollSplit) -> None:
        """Count in the training pieces, which are not transposed."""
        _, frames = _pairs(train)
        self.probability = _smoothed(frames.sum(0), len(frames))

    def predict(self, split: RollSplit) -> RollPredictions:
        """Predict each key by itself."""
        before, frames = _pairs(split)
        table = np.atleast_2d(self.probability)
        probability = np.where(before, table[-1], table[0])
        nats = -np.log(np.where(frames, probability, 1 - probability))
        return RollPredictions(nats.sum(-1), probability > 0.5)

    def state(self) -> dict[str, Array]:
        """Return the probabilities."""
        return {self.name: self.probability}

    def load_state(self, arrays: Mapping[str, Array]) -> None:
        """Take the probabilities."""
        self.probability = arrays[self.name]


class Markov(Marginal):
    """How often each key sounds after a frame without it and after one with it [2, K]."""

    name = "markov"

    def fit(self, train: RollSplit, valid: RollSplit) -> None:
        """Count in the training pieces, which are not transposed."""
        before, frames = _pairs(train)
        same = (before == sounded for sounded in (False, True))
        self.probability = np.stack([_smoothed((frames & one).sum(0), one.sum(0)) for one in same])


class EventNGrams(NGramBaselineSet[EventSplit]):
    """Unigrams and n-grams of the training pieces, in as many transpositions as can be counted.

    Args:
        preprocessing: the vocabulary.
        most: largest transposition, in semitones up or down.
    """

    def __init__(self, preprocessing: EventPreprocessing, most: int) -> None:
        super().__init__(EventSplit.joined, preprocessing.vocabulary.size, LONGEST_NGRAM)
        self.preprocessing, self.most = preprocessing, most

    def fit(self, train: EventSplit, valid: EventSplit) -> EventNGrams:
        """Count the n-grams of the transposed training pieces, the untransposed ones last."""
        copies = max(1, min(2 * self.most + 1, MAX_TOKENS // train.steps))
        moves = sorted(range(-self.most, self.most + 1), key=abs)[:copies]
        moved = [self.preprocessing.transposed(train, [by] * len(train)).pieces for by in moves[::-1]]
        super().fit(EventSplit(tuple(piece for pieces in moved for piece in pieces), train.end), valid)
        return self


def _pairs(split: RollSplit) -> tuple[Array, Array]:
    """Return all frames but the last, and all but the first, of each piece: [N, K] each."""
    rolls = [piece.roll for piece in split.pieces]
    return np.concatenate([roll[:-1] for roll in rolls]), np.concatenate([roll[1:] for roll in rolls])


def _smoothed(sounding: Array, frames: Array | int) -> Array:
    probability: Array = (sounding + 1.0) / (frames + 2.0)
    return probability
