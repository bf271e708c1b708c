"""N-gram baselines with interpolated Kneser-Ney smoothing (Kneser & Ney 1995).

``P_n(w|h) = max(c(hw) - D, 0) / c(h) + D N(h.) / c(h) P_{n-1}(w|h')``, where ``h'`` is the context
without its first token, ``N(h.)`` the number of different tokens after ``h``, and ``D = n1 / (n1 +
2 n2)`` from the counts of that order. The highest order counts occurrences; the lower ones count
the different tokens before (Chen & Goodman 1999). Below order 1, all tokens are equally probable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from holdfast._typing import Array
from holdfast.errors import damaged

MAX_ORDER = {"character": 8, "byte": 8, "word": 5, "subword": 5}
"""The highest order to try for each kind of token."""

MAX_TOKENS = 5_000_000
"""Tokens of the training split that are counted: the last ones of a longer split."""

BLOCK = 1_000_000
"""Tokens that are scored at once, at about 100 bytes of memory each."""


@dataclass(frozen=True)
class _Level:
    """All n-grams of one order that occur.

    Attributes:
        keys: increasing; the key of an n-gram is the index of its first n - 1 tokens in the level
            below, times V, plus its last token.
        counts: occurrences of each.
        before: the number of different tokens before each.
    """

    keys: Array
    counts: Array
    before: Array

    def indices(self, keys: Array) -> Array:
        """Return the indices of these keys, or -1 where one does not occur."""
        indices = np.searchsorted(self.keys, keys)
        indices = np.minimum(indices, len(self.keys) - 1)
        return np.where(self.keys[indices] == keys, indices, -1)


@dataclass(frozen=True)
class NGramModel:
    """An n-gram model of all orders up to one: ``levels[n - 1]`` holds the n-grams.

    Example:
        >>> model = NGramModel.fit(np.array([0, 1, 0, 1, 0]), vocab_size=2, order=2)
        >>> np.exp(-model.nll(np.array([1]), 2, before=np.array([0]))).round(3)
        array([0.875])
    """

    levels: list[_Level]
    vocab_size: int

    @classmethod
    def fit(cls, ids: Array, vocab_size: int, order: int) -> Self:
        """Count the n-grams of a text [n], up to an order."""
        ids = np.asarray(ids[-MAX_TOKENS:], np.int64)
        levels: list[_Level] = []
        indices = np.zeros(len(ids), np.int64)  # of the n-gram that begins at each token
        for n in range(min(order, len(ids))):
            keys, shorter = indices[: len(ids) - n] * vocab_size + ids[n:], indices
            distinct, first, indices, counts = np.unique(
                keys, return_index=True, return_inverse=True, return_counts=True
            )
            if levels:  # each n-gram adds one token before the (n-1)-gram that ends it
                ends = shorter[first + 1]
                before = np.bincount(ends, minlength=len(levels[-1].keys))
                levels[-1] = _Level(levels[-1].keys, levels[-1].counts, before)
            levels.append(_Level(distinct, counts, counts))
        return cls(levels, vocab_size)

    def nll(self, ids: Array, order: int, before: Array | None = None) -> Array:
        """Return ``-log P`` [n] in nats of each token of a text, after the tokens ``before``."""
        nll = np.empty(len(ids))
        for at in range(0, len(ids), BLOCK):
            context = ids[max(at - order, 0) : at] if at else before
            by_order = self.nll_by_order(ids[at : at + BLOCK], context)
            nll[at : at + BLOCK] = next(values for n, values in by_order if n == order)
        return nll

    def nll_by_order(self, ids: Array, before: Array | None = None) -> Iterator[tuple[int, Array]]:
        """Yield each order from 1 on, with ``-log P`` [n] of that order."""
        lead = np.asarray([] if before is None else before[-len(self.levels) :], np.int64)
        text = np.concatenate([lead, np.asarray(ids, np.int64)])
        lower = np.full(len(text), 1.0 / self.vocab_size)
        context = np.zeros(len(text), np.int64)  # index of the n - 1 tokens before each token, or -1
        for n, level in enumerate(self.levels, 1):
            yield n, -np.log(self._smoothed(level, level.counts, context, text, lower))[len(lead) :]
            if n < len(self.levels):
                lower = self._smoothed(level, level.before, context, text, lower)
                context = self._contexts(text, n)

    def _contexts(self, text: Array, length: int) -> Array:
        """Return the index of the ``length`` tokens before each token."""
        indices = np.zeros(len(text), np.int64)
        for n, level in enumerate(self.levels[:length]):
            token = np.roll(text, length - n)
            indices = np.where(indices < 0, -1, level.indices(indices * self.vocab_size + token))
        indices[:length] = -1
        return indices

    def _smoothed(self, level: _Level, counts: Array, context: Array, text: Array, lower: Array) -> Array:
        """Return the probability of each token; after an unseen context it is ``lower``."""
        ones, twos = int((counts == 1).sum()), int((counts == 2).sum())
        discount = ones / (ones + 2 * twos) if ones else 0.5
        contexts = level.keys // self.vocab_size
        totals, kinds = np.bincount(contexts, counts), np.bincount(contexts, counts > 0)
        indices = level.indices(np.maximum(context, 0) * self.vocab_size + text)
        own = np.where(indices >= 0, np.maximum(counts[indices] - discount, 0.0), 0.0)
        seen = np.where(context < len(totals), np.minimum(np.maximum(context, 0), len(totals) - 1), 0)
        total = np.where((context >= 0) & (context < len(totals)), totals[seen], 0.0)
        smoothed = (own + discount * kinds[seen] * lower) / np.maximum(total, 1e-300)
        return np.where(total > 0, smoothed, lower)


@dataclass(frozen=True)
class NGramBaselines:
    """Two baselines of a language model: unigrams, and Kneser-Ney n-grams of the best order."""

    ngrams: NGramModel
    order: int
    notes: tuple[str, ...] = ()

    @classmethod
    def fit(cls, train: Array, valid: Array, vocab_size: int, max_order: int, order: int | None) -> Self:
        """Count the training split; if ``order`` is None, choose it on the validation split.

        Args:
            train, valid: tokens [n] of the two splits.
            vocab_size: V.
            max_order: the highest order to try.
            order: fixes the order.
        """
        ngrams = NGramModel.fit(train, vocab_size, order or max_order)
        best = len(ngrams.levels)
        if order is None:
            losses = {n: float(nll.mean()) for n, nll in ngrams.nll_by_order(valid[:MAX_TOKENS])}
            best = min(losses, key=lambda n: losses[n])
        note = f"n-grams are counted in the last {MAX_TOKENS:,} tokens of the training split"
        notes = (note,) if len(train) > MAX_TOKENS else ()
        return cls(NGramModel(ngrams.levels[:best], vocab_size), best, notes)

    def each(self, ids: Array) -> Iterator[tuple[str, Array]]:
        """Yield the name of each baseline and ``-log P`` [n] in nats of every token."""
        yield "unigram", self.ngrams.nll(ids, 1)
        if self.order > 1:
            yield f"kneser_ney_{self.order}gram", self.ngrams.nll(ids, self.order)

    def state(self) -> dict[str, Array]:
        """Return the fitted counts as arrays by name."""
        state = {"units": np.array(self.ngrams.vocab_size), "order": np.array(self.order)}
        return state | {
            f"{name}.{n}": getattr(level, name)
            for n, level in enumerate(self.ngrams.levels)
            for name in ("keys", "counts", "before")
        }

    @classmethod
    def from_state(cls, arrays: Mapping[str, Array]) -> Self:
        """Restore what :meth:`state` returned.

        Raises:
            UserError: an array is missing.
        """
        try:
            order = int(arrays["order"])
            levels = [
                _Level(*(arrays[f"{name}.{n}"] for name in ("keys", "counts", "before")))
                for n in range(order)
            ]
            return cls(NGramModel(levels, int(arrays["units"])), order)
        except KeyError as error:
            raise damaged("baselines.safetensors", f"It lacks {error}.") from error
