"""What a recurrent model of symbols has to beat: unigrams, and n-grams with interpolated Kneser-Ney smoothing
(Kneser & Ney 1995).

``P_n(w|h) = max(c(hw) - D, 0) / c(h) + D N(h.) / c(h) P_{n-1}(w|h')``, with ``h'`` the context without its first
unit, ``N(h.)`` the number of different units after ``h``, and ``D = n1 / (n1 + 2 n2)`` of the counts of that order.
The longest order counts occurrences; the others count the different units before (Chen & Goodman 1999). Below order
1 all units are equally likely.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from holdfast._typing import Array
from holdfast.errors import UserError

MAX_ORDER = {"character": 8, "byte": 8, "word": 5, "subword": 5}
"""Orders that are tried for each kind of unit."""

MAX_TOKENS = 5_000_000
"""Units of the training part that are counted: its last ones, where it has more."""

AT_ONCE = 1_000_000
"""Units that are scored at once: about 100 bytes of memory for each."""


@dataclass(frozen=True)
class Level:
    """All n-grams of one order that occur.

    Attributes:
        keys: increasing; that of an n-gram is the place of its first n - 1 units in the level below, times V, plus its
            last.
        counts: how often each occurs.
        before: how many different units stand before each.
    """

    keys: Array
    counts: Array
    before: Array

    def places(self, keys: Array) -> Array:
        """Where keys stand; -1 where they do not occur."""
        found = np.searchsorted(self.keys, keys)
        found = np.minimum(found, len(self.keys) - 1)
        return np.where(self.keys[found] == keys, found, -1)


@dataclass(frozen=True)
class NGramModel:
    """N-grams of several orders: ``levels[n - 1]`` holds those of n units."""

    levels: list[Level]
    units: int

    @classmethod
    def fit(cls, ids: Array, units: int, order: int) -> Self:
        """Count the n-grams of a text [n], up to an order."""
        ids = np.asarray(ids[-MAX_TOKENS:], np.int64)
        levels: list[Level] = []
        places = np.zeros(len(ids), np.int64)  # of the n-gram that begins at each unit
        for n in range(min(order, len(ids))):
            keys, shorter = places[: len(ids) - n] * units + ids[n:], places
            distinct, first, places, counts = np.unique(
                keys, return_index=True, return_inverse=True, return_counts=True
            )
            if levels:  # each n-gram stands once before the (n-1)-gram that is its end
                ends = shorter[first + 1]
                before = np.bincount(ends, minlength=len(levels[-1].keys))
                levels[-1] = Level(levels[-1].keys, levels[-1].counts, before)
            levels.append(Level(distinct, counts, counts))
        return cls(levels, units)

    def nll(self, ids: Array, order: int, before: Array | None = None) -> Array:
        """``-log P`` of each unit [n] of a text by the model of an order, after the units ``before``."""
        found = np.empty(len(ids))
        for at in range(0, len(ids), AT_ONCE):
            lead = ids[max(at - order, 0) : at] if at else before
            piece = self.by_order(ids[at : at + AT_ONCE], lead)
            found[at : at + AT_ONCE] = next(nats for n, nats in piece if n == order)
        return found

    def by_order(self, ids: Array, before: Array | None = None) -> Iterator[tuple[int, Array]]:
        """``-log P`` [n] by the models of all orders from 1 on."""
        lead = np.asarray([] if before is None else before[-len(self.levels) :], np.int64)
        text = np.concatenate([lead, np.asarray(ids, np.int64)])
        lower = np.full(len(text), 1.0 / self.units)
        context = np.zeros(
            len(text), np.int64
        )  # place of the n - 1 units before each unit; -1 where there are none
        for n, level in enumerate(self.levels, 1):
            yield n, -np.log(self._mixed(level, level.counts, context, text, lower))[len(lead) :]
            if n < len(self.levels):
                lower = self._mixed(level, level.before, context, text, lower)
                context = self._contexts(text, n)

    def _contexts(self, text: Array, length: int) -> Array:
        """Place of the ``length`` units before each unit."""
        places = np.zeros(len(text), np.int64)
        for n, level in enumerate(self.levels[:length]):
            unit = np.roll(text, length - n)
            places = np.where(places < 0, -1, level.places(places * self.units + unit))
        places[:length] = -1
        return places

    def _mixed(self, level: Level, counts: Array, context: Array, text: Array, lower: Array) -> Array:
        """The probability of each unit by one level, mixed with the one below; without the context, that below."""
        ones, twos = int((counts == 1).sum()), int((counts == 2).sum())
        discount = ones / (ones + 2 * twos) if ones else 0.5
        contexts = level.keys // self.units
        totals, kinds = np.bincount(contexts, counts), np.bincount(contexts, counts > 0)
        places = level.places(np.maximum(context, 0) * self.units + text)
        own = np.where(places >= 0, np.maximum(counts[places] - discount, 0.0), 0.0)
        held = np.where(context < len(totals), np.minimum(np.maximum(context, 0), len(totals) - 1), 0)
        total = np.where((context >= 0) & (context < len(totals)), totals[held], 0.0)
        mixed = (own + discount * kinds[held] * lower) / np.maximum(total, 1e-300)
        return np.where(total > 0, mixed, lower)


@dataclass(frozen=True)
class NGramBaselines:
    """Unigrams, and Kneser-Ney of the order that was best on the validation part."""

    ngrams: NGramModel
    order: int
    notes: tuple[str, ...] = ()

    @classmethod
    def fit(cls, train: Array, valid: Array, units: int, longest: int, order: int | None) -> Self:
        """Count the training part; without an ``order``, choose it up to ``longest`` on the validation part."""
        ngrams = NGramModel.fit(train, units, order or longest)
        most = len(ngrams.levels)
        losses = (
            {n: float(found.mean()) for n, found in ngrams.by_order(valid[:MAX_TOKENS])}
            if order is None
            else {most: 0.0}
        )
        best = min(losses, key=lambda n: losses[n])
        notes = (
            []
            if len(train) <= MAX_TOKENS
            else [f"n-grams are counted in the last {MAX_TOKENS:,} units of the training part"]
        )
        return cls(NGramModel(ngrams.levels[:best], units), best, tuple(notes))

    def each(self, ids: Array) -> Iterator[tuple[str, Array]]:
        """Name and nats of every unit."""
        yield "unigram", self.ngrams.nll(ids, 1)
        if self.order > 1:
            yield f"kneser_ney_{self.order}gram", self.ngrams.nll(ids, self.order)

    def state(self) -> dict[str, Array]:
        """Everything as arrays by name."""
        own = {"units": np.array(self.ngrams.units), "order": np.array(self.order)}
        return own | {
            f"{name}.{n}": getattr(level, name)
            for n, level in enumerate(self.ngrams.levels)
            for name in ("keys", "counts", "before")
        }

    @classmethod
    def from_state(cls, arrays: Mapping[str, Array]) -> Self:
        """What :meth:`state` gave.

        Raises:
            UserError: something lacks.
        """
        try:
            order = int(arrays["order"])
            levels = [
                Level(*(arrays[f"{name}.{n}"] for name in ("keys", "counts", "before"))) for n in range(order)
            ]
            return cls(NGramModel(levels, int(arrays["units"])), order)
        except KeyError as error:
            rule = "baselines.safetensors holds the n-grams as training wrote them."
            raise UserError(rule, f"It lacks {error}.", "Copy the folder again, or train anew.") from error
