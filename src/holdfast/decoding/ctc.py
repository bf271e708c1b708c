"""From a distribution over tokens at each frame to tokens: the best path, or a search through prefixes with a language
model; each reads frames as they come. And where tokens stand in time.

Letters: S frames, V tokens with the blank (token 0), U tokens of an utterance.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from holdfast._typing import Array

BLANK = 0
"""The token of connectionist temporal classification that stands for none (Graves et al. 2006)."""
_NEVER = -np.inf


class CTCStream(Protocol):
    """What reads ``log p`` frame by frame; one decoder is for one utterance at a time."""

    def accept(self, scores: Array) -> None:
        """Read more frames: [S, V]."""
        ...

    def certain(self) -> list[int]:
        """The tokens since the last settling that no later frame can change."""
        ...

    def best(self) -> list[int]:
        """All tokens since the last settling, as they look now."""
        ...

    def end_segment(self) -> list[int]:
        """The best tokens since the last settling, now final; what comes goes on behind a pause."""
        ...

    def finish(self) -> list[int]:
        """The best tokens since the last settling when no more frames come; the decoder then begins anew."""
        ...


class CTCDecoder(Protocol):
    """A way to decode: makes a decoder for each utterance."""

    def stream(self) -> CTCStream:
        """A new decoder."""
        ...


def decode(decoding: CTCDecoder, scores: Array) -> list[int]:
    """The tokens of a whole utterance [S, V]."""
    decoder = decoding.stream()
    decoder.accept(scores)
    return decoder.finish()


@dataclass
class _GreedyDecoder:
    tokens: list[int] = field(default_factory=list)
    last: int = BLANK

    def accept(self, scores: Array) -> None:
        for token in scores.argmax(1).tolist():
            if token not in (self.last, BLANK):
                self.tokens.append(token)
            self.last = token

    def certain(self) -> list[int]:
        return list(self.tokens)

    best = certain

    def end_segment(self) -> list[int]:
        found, self.tokens = self.tokens, []
        return found

    def finish(self) -> list[int]:
        self.last = BLANK
        return self.end_segment()


class GreedyCTC:
    """The likeliest token of each frame; repeats become one, blanks go (best path decoding: Graves et al. 2006).

    Example:
        >>> import numpy as np
        >>> decode(GreedyCTC(), np.log([[0.1, 0.9], [0.2, 0.8], [0.9, 0.1], [0.4, 0.6]]))
        [1, 1]
    """

    def stream(self) -> CTCStream:
        """A new decoder."""
        return _GreedyDecoder()


class PrefixScorer(Protocol):
    """What is added to the score of a prefix, token by token: a language model, a bonus for each word, hot words."""

    def start(self) -> Hashable:
        """The state before the first token."""
        ...

    def advance(self, state: Hashable, token: int) -> tuple[Hashable, float]:
        """The state behind a token, and what it adds."""
        ...

    def pause(self, state: Hashable) -> tuple[Hashable, float]:
        """The state behind a pause, which ends a word, and what it adds."""
        ...

    def end(self, state: Hashable) -> float:
        """What the end of the utterance adds."""
        ...


class NoScorer:
    """A scorer that adds nothing."""

    def start(self) -> Hashable:
        """Nothing."""
        return None

    def advance(self, state: Hashable, token: int) -> tuple[Hashable, float]:
        """Nothing."""
        return None, 0.0

    def pause(self, state: Hashable) -> tuple[Hashable, float]:
        """Nothing."""
        return None, 0.0

    def end(self, state: Hashable) -> float:
        """Nothing."""
        return 0.0


@dataclass(frozen=True)
class PrefixBeamSearch:
    """The ``size`` likeliest prefixes, each summed over all its paths (Hannun et al. 2014, arXiv 1408.2873).

    ``score(y) = log p(y) + scorer(y)``. At each frame only tokens above ``floor`` nats below the likeliest are tried.

    Attributes:
        size: prefixes that are kept.
        scorer: what is added to their scores.
        floor: see above.
    """

    size: int = 16
    scorer: PrefixScorer = field(default_factory=NoScorer)
    floor: float = 7.0

    def stream(self) -> CTCStream:
        """A new decoder."""
        return _PrefixDecoder(self)


@dataclass(frozen=True)
class _Prefix:
    """Units so far as a chain, newest first, with the scorer's state; equal prefixes are the same object."""

    token: int
    before: _Prefix | None
    state: Hashable
    added: float

    def tokens(self) -> list[int]:
        found, node = [], self
        while node.before is not None:
            found.append(node.token)
            node = node.before
        return found[::-1]


class _Scores:
    """``log p`` of the paths of a prefix that end in a blank, and of those that end in its last token."""

    __slots__ = ("blank", "token")

    def __init__(self, blank: float = _NEVER, token: float = _NEVER) -> None:
        self.blank, self.token = blank, token

    @property
    def total(self) -> float:
        return float(np.logaddexp(self.blank, self.token))


class _PrefixDecoder:
    def __init__(self, beam: PrefixBeamSearch) -> None:
        self.beam = beam
        self._begin(beam.scorer.start())

    def _begin(self, state: Hashable) -> None:
        root = _Prefix(BLANK, None, state, 0.0)
        self.prefixes: dict[int, tuple[_Prefix, _Scores]] = {id(root): (root, _Scores(blank=0.0))}
        self.children: dict[tuple[int, int], _Prefix] = {}

    def accept(self, scores: Array) -> None:
        for row in np.asarray(scores, np.float64):
            self._frame(row)

    def _frame(self, row: Array) -> None:
        tried = [
            token for token in np.flatnonzero(row > row.max() - self.beam.floor).tolist() if token != BLANK
        ]
        values = row.tolist()
        found: dict[int, tuple[_Prefix, _Scores]] = {}
        for prefix, before in self.prefixes.values():
            total = before.total
            own = _at(found, prefix)
            own.blank = _add(own.blank, total + values[BLANK])
            if prefix.before is not None:
                own.token = _add(own.token, before.token + values[prefix.token])
            for token in tried:
                follows = before.blank if token == prefix.token and prefix.before is not None else total
                if follows > _NEVER:
                    longer = _at(found, self._child(prefix, token))
                    longer.token = _add(longer.token, follows + values[token])
        self._keep(found)

    def _child(self, prefix: _Prefix, token: int) -> _Prefix:
        key = id(prefix), token
        if key not in self.children:
            state, gained = self.beam.scorer.advance(prefix.state, token)
            self.children[key] = _Prefix(token, prefix, state, prefix.added + gained)
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
        return _common([prefix.tokens() for prefix, _ in self.prefixes.values()])

    def best(self) -> list[int]:
        return self._winner(lambda state: 0.0).tokens()

    def end_segment(self) -> list[int]:
        scorer = self.beam.scorer
        best = self._winner(lambda state: scorer.pause(state)[1])
        self._begin(scorer.pause(best.state)[0])
        return best.tokens()

    def finish(self) -> list[int]:
        best = self._winner(self.beam.scorer.end)
        self._begin(self.beam.scorer.start())
        return best.tokens()


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
    """A token in time: its first frame, the one after its last, and the mean of ``log p`` over these."""

    token: int
    start: int
    end: int
    log_probability: float


def force_align(scores: Array, tokens: Sequence[int]) -> list[Span]:
    """Where tokens stand: the likeliest of all paths [S, V] that give them (the Viterbi path).

    A frame of a blank belongs to no token. Where the frames are too few for the tokens, there is no path, and no span.

    Example:
        >>> import numpy as np
        >>> scores = np.log([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9], [0.9, 0.1]])
        >>> [(span.start, span.end) for span in force_align(scores, [1])]
        [(1, 3)]
    """
    states = np.zeros(2 * len(tokens) + 1, np.int64)  # blank, token, blank, token, ..., blank
    states[1::2] = tokens
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
    if len(scores) == 0 or not tokens or max(best[-1], best[-2]) == _NEVER:
        return []
    path = _back(come, len(states) - 1 if best[-1] >= best[-2] else len(states) - 2)
    spans = []
    for place, token in enumerate(tokens):
        frames = np.flatnonzero(path == 2 * place + 1)
        own = float(np.mean(scores[frames, token]))
        spans.append(Span(int(token), int(frames[0]), int(frames[-1]) + 1, own))
    return spans


def _back(come: Array, state: int) -> Array:
    """The path that ends in a state, from what led to each."""
    path = np.zeros(len(come), np.int64)
    for frame in range(len(come) - 1, -1, -1):
        path[frame] = state
        state -= int(come[frame, state])
    return path
