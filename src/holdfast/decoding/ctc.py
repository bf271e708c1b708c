"""From a distribution over units at each frame to units: the best path, or a search through prefixes with a language
model; each reads frames as they come. And where units stand in time.

Letters: S frames, V units with the blank (unit 0), U units of an utterance.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from holdfast._typing import Array

BLANK = 0
"""The unit of connectionist temporal classification that stands for none (Graves et al. 2006)."""
_NEVER = -np.inf


class Decoder(Protocol):
    """What reads ``log p`` frame by frame; one decoder is for one utterance at a time."""

    def accept(self, scores: Array) -> None:
        """Read more frames: [S, V]."""
        ...

    def certain(self) -> list[int]:
        """The units since the last settling that no later frame can change."""
        ...

    def best(self) -> list[int]:
        """All units since the last settling, as they look now."""
        ...

    def settle(self) -> list[int]:
        """The best units since the last settling, now final; what comes goes on behind a pause."""
        ...

    def finish(self) -> list[int]:
        """The best units since the last settling when no more frames come; the decoder then begins anew."""
        ...


class Decoding(Protocol):
    """A way to decode: makes a decoder for each utterance."""

    def decoder(self) -> Decoder:
        """A new decoder."""
        ...


def decoded(decoding: Decoding, scores: Array) -> list[int]:
    """The units of a whole utterance [S, V]."""
    decoder = decoding.decoder()
    decoder.accept(scores)
    return decoder.finish()


@dataclass
class _GreedyDecoder:
    units: list[int] = field(default_factory=list)
    last: int = BLANK

    def accept(self, scores: Array) -> None:
        for unit in scores.argmax(1).tolist():
            if unit not in (self.last, BLANK):
                self.units.append(unit)
            self.last = unit

    def certain(self) -> list[int]:
        return list(self.units)

    best = certain

    def settle(self) -> list[int]:
        found, self.units = self.units, []
        return found

    def finish(self) -> list[int]:
        self.last = BLANK
        return self.settle()


class Greedy:
    """The likeliest unit of each frame; repeats become one, blanks go (best path decoding: Graves et al. 2006).

    Example:
        >>> import numpy as np
        >>> decoded(Greedy(), np.log([[0.1, 0.9], [0.2, 0.8], [0.9, 0.1], [0.4, 0.6]]))
        [1, 1]
    """

    def decoder(self) -> Decoder:
        """A new decoder."""
        return _GreedyDecoder()


class Grammar(Protocol):
    """What is added to the score of a prefix, unit by unit: a language model, a bonus for each word, hot words."""

    def start(self) -> Hashable:
        """The state before the first unit."""
        ...

    def advance(self, state: Hashable, unit: int) -> tuple[Hashable, float]:
        """The state behind a unit, and what it adds."""
        ...

    def pause(self, state: Hashable) -> tuple[Hashable, float]:
        """The state behind a pause, which ends a word, and what it adds."""
        ...

    def end(self, state: Hashable) -> float:
        """What the end of the utterance adds."""
        ...


class Free:
    """A grammar that adds nothing."""

    def start(self) -> Hashable:
        """Nothing."""
        return None

    def advance(self, state: Hashable, unit: int) -> tuple[Hashable, float]:
        """Nothing."""
        return None, 0.0

    def pause(self, state: Hashable) -> tuple[Hashable, float]:
        """Nothing."""
        return None, 0.0

    def end(self, state: Hashable) -> float:
        """Nothing."""
        return 0.0


@dataclass(frozen=True)
class PrefixBeam:
    """The ``size`` likeliest prefixes, each summed over all its paths (Hannun et al. 2014, arXiv 1408.2873).

    ``score(y) = log p(y) + grammar(y)``. At each frame only units above ``floor`` nats below the likeliest are tried.

    Attributes:
        size: prefixes that are kept.
        grammar: what is added to their scores.
        floor: see above.
    """

    size: int = 16
    grammar: Grammar = field(default_factory=Free)
    floor: float = 7.0

    def decoder(self) -> Decoder:
        """A new decoder."""
        return _PrefixDecoder(self)


@dataclass(frozen=True)
class _Prefix:
    """Units so far as a chain, newest first, with the grammar's state; equal prefixes are the same object."""

    unit: int
    before: _Prefix | None
    state: Hashable
    added: float

    def units(self) -> list[int]:
        found, node = [], self
        while node.before is not None:
            found.append(node.unit)
            node = node.before
        return found[::-1]


class _Scores:
    """``log p`` of the paths of a prefix that end in a blank, and of those that end in its last unit."""

    __slots__ = ("blank", "unit")

    def __init__(self, blank: float = _NEVER, unit: float = _NEVER) -> None:
        self.blank, self.unit = blank, unit

    @property
    def total(self) -> float:
        return float(np.logaddexp(self.blank, self.unit))


class _PrefixDecoder:
    def __init__(self, beam: PrefixBeam) -> None:
        self.beam = beam
        self._begin(beam.grammar.start())

    def _begin(self, state: Hashable) -> None:
        root = _Prefix(BLANK, None, state, 0.0)
        self.prefixes: dict[int, tuple[_Prefix, _Scores]] = {id(root): (root, _Scores(blank=0.0))}
        self.children: dict[tuple[int, int], _Prefix] = {}

    def accept(self, scores: Array) -> None:
        for row in np.asarray(scores, np.float64):
            self._frame(row)

    def _frame(self, row: Array) -> None:
        tried = [unit for unit in np.flatnonzero(row > row.max() - self.beam.floor).tolist() if unit != BLANK]
        values = row.tolist()
        found: dict[int, tuple[_Prefix, _Scores]] = {}
        for prefix, before in self.prefixes.values():
            total = before.total
            own = _at(found, prefix)
            own.blank = _add(own.blank, total + values[BLANK])
            if prefix.before is not None:
                own.unit = _add(own.unit, before.unit + values[prefix.unit])
            for unit in tried:
                follows = before.blank if unit == prefix.unit and prefix.before is not None else total
                if follows > _NEVER:
                    longer = _at(found, self._child(prefix, unit))
                    longer.unit = _add(longer.unit, follows + values[unit])
        self._keep(found)

    def _child(self, prefix: _Prefix, unit: int) -> _Prefix:
        key = id(prefix), unit
        if key not in self.children:
            state, gained = self.beam.grammar.advance(prefix.state, unit)
            self.children[key] = _Prefix(unit, prefix, state, prefix.added + gained)
        return self.children[key]

    def _keep(self, found: dict[int, tuple[_Prefix, _Scores]]) -> None:
        ranked = sorted(found.items(), key=lambda entry: -(entry[1][1].total + entry[1][0].added))
        self.prefixes = dict(ranked[: self.beam.size])
        if len(self.children) > 64 * self.beam.size:
            self._forget()

    def _forget(self) -> None:
        """Keep only the children that lead to a prefix of the beam."""
        alive: set[int] = set()
        for prefix, _ in self.prefixes.values():
            node: _Prefix | None = prefix
            while node is not None and id(node) not in alive:
                alive.add(id(node))
                node = node.before
        self.children = {key: child for key, child in self.children.items() if id(child) in alive}

    def _winner(self, closing: Callable[[Hashable], float]) -> _Prefix:
        """The best prefix, with what its closing adds."""
        ranked = [(s.total + p.added + closing(p.state), p) for p, s in self.prefixes.values()]
        return max(ranked, key=lambda entry: entry[0])[1]

    def certain(self) -> list[int]:
        return _common([prefix.units() for prefix, _ in self.prefixes.values()])

    def best(self) -> list[int]:
        return self._winner(lambda state: 0.0).units()

    def settle(self) -> list[int]:
        grammar = self.beam.grammar
        best = self._winner(lambda state: grammar.pause(state)[1])
        self._begin(grammar.pause(best.state)[0])
        return best.units()

    def finish(self) -> list[int]:
        best = self._winner(self.beam.grammar.end)
        self._begin(self.beam.grammar.start())
        return best.units()


def _at(found: dict[int, tuple[_Prefix, _Scores]], prefix: _Prefix) -> _Scores:
    if id(prefix) not in found:
        found[id(prefix)] = prefix, _Scores()
    return found[id(prefix)][1]


def _add(one: float, other: float) -> float:
    if one == _NEVER:
        return other
    high, low = (one, other) if one > other else (other, one)
    return high + float(np.log1p(np.exp(low - high)))


def _common(chains: Sequence[list[int]]) -> list[int]:
    """The beginning that all have."""
    first, last = min(chains), max(chains)
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    return first[:same]


@dataclass(frozen=True)
class Span:
    """A unit in time: its first frame, the one after its last, and the mean of ``log p`` over these."""

    unit: int
    start: int
    end: int
    log_probability: float


def aligned(scores: Array, units: Sequence[int]) -> list[Span]:
    """Where units stand: the likeliest of all paths [S, V] that give them (the Viterbi path).

    A frame of a blank belongs to no unit. Where the frames are too few for the units, there is no path, and no span.

    Example:
        >>> import numpy as np
        >>> scores = np.log([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9], [0.9, 0.1]])
        >>> [(span.start, span.end) for span in aligned(scores, [1])]
        [(1, 3)]
    """
    states = np.zeros(2 * len(units) + 1, np.int64)  # blank, unit, blank, unit, ..., blank
    states[1::2] = units
    skips = np.zeros(len(states), bool)
    skips[3::2] = states[3::2] != states[1:-2:2]
    best = np.full(len(states), _NEVER)
    best[0] = 0.0
    come = np.zeros((len(scores), len(states)), np.int8)
    for frame, row in enumerate(np.asarray(scores, np.float64)):
        ways = np.full((3, len(states)), _NEVER)
        ways[0], ways[1, 1:] = best, best[:-1]
        ways[2, 2:] = np.where(skips[2:], best[:-2], _NEVER)
        come[frame] = ways.argmax(0)
        best = ways.max(0) + row[states]
    if len(scores) == 0 or not units or max(best[-1], best[-2]) == _NEVER:
        return []
    path = _back(come, len(states) - 1 if best[-1] >= best[-2] else len(states) - 2)
    spans = []
    for place, unit in enumerate(units):
        frames = np.flatnonzero(path == 2 * place + 1)
        own = float(np.mean(scores[frames, unit]))
        spans.append(Span(int(unit), int(frames[0]), int(frames[-1]) + 1, own))
    return spans


def _back(come: Array, state: int) -> Array:
    """The path that ends in a state, from what led to each."""
    path = np.zeros(len(come), np.int64)
    for frame in range(len(come) - 1, -1, -1):
        path[frame] = state
        state -= int(come[frame, state])
    return path
