"""Decode connectionist temporal classification (CTC) frame by frame, and align tokens in time.

Letters: S frames, V tokens with the blank (token 0), U tokens of an utterance.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from holdfast._typing import Array

BLANK = 0
"""The blank token of CTC (Graves et al. 2006)."""
_NEVER = -np.inf


class CTCStream(Protocol):
    """Decodes one utterance at a time from ``log p`` as its frames arrive."""

    def accept(self, scores: Array) -> None:
        """Read more frames of ``log p`` [S, V]."""
        ...

    def certain(self) -> list[int]:
        """Return the tokens of this segment that no later frame can change."""
        ...

    def best(self) -> list[int]:
        """Return the best tokens of this segment so far."""
        ...

    def end_segment(self) -> list[int]:
        """Return the best tokens of this segment and begin the next one, after a pause."""
        ...

    def finish(self) -> list[int]:
        """Return the best tokens of the last segment and begin a new utterance."""
        ...


class CTCDecoder(Protocol):
    """A decoding strategy."""

    def stream(self) -> CTCStream:
        """Return the decoder of a new utterance."""
        ...


def decode(decoder: CTCDecoder, scores: Array) -> list[int]:
    """Return the tokens of a whole utterance with ``log p`` [S, V]."""
    stream = decoder.stream()
    stream.accept(scores)
    return stream.finish()


@dataclass
class _GreedyStream:
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
        tokens, self.tokens = self.tokens, []
        return tokens

    def finish(self) -> list[int]:
        self.last = BLANK
        return self.end_segment()


class GreedyCTC:
    """Take the best token of each frame, merge repeats and drop blanks (Graves et al. 2006).

    Example:
        >>> import numpy as np
        >>> decode(GreedyCTC(), np.log([[0.1, 0.9], [0.2, 0.8], [0.9, 0.1], [0.4, 0.6]]))
        [1, 1]
    """

    def stream(self) -> CTCStream:
        """Return the decoder of a new utterance."""
        return _GreedyStream()


class PrefixScorer(Protocol):
    """Adds to the score of a prefix: a language model, a bonus for each word, hot words."""

    def start(self) -> Hashable:
        """Return the state before the first token."""
        ...

    def advance(self, state: Hashable, token: int) -> tuple[Hashable, float]:
        """Return the state after a token, and the nats that it adds."""
        ...

    def pause(self, state: Hashable) -> tuple[Hashable, float]:
        """Return the state after a pause, which ends a word, and the nats that it adds."""
        ...

    def end(self, state: Hashable) -> float:
        """Return the nats that the end of the utterance adds."""
        ...


class _ZeroScorer:
    """A scorer that adds nothing."""

    def start(self) -> Hashable:
        return None

    def advance(self, state: Hashable, token: int) -> tuple[Hashable, float]:
        return None, 0.0

    def pause(self, state: Hashable) -> tuple[Hashable, float]:
        return None, 0.0

    def end(self, state: Hashable) -> float:
        return 0.0


@dataclass(frozen=True)
class PrefixBeamSearch:
    """Follow the most probable prefixes, each summed over its paths.

    See Hannun et al. 2014, arXiv 1408.2873.
    ``score(y) = log p(y) + scorer(y)``.

    Attributes:
        size: prefixes to keep.
        scorer: added to the score of every prefix.
        floor: nats; at each frame, tokens further than this below the most probable one are
            skipped.

    Example:
        >>> import numpy as np
        >>> decode(PrefixBeamSearch(4), np.log([[0.6, 0.4], [0.6, 0.4]]))
        [1]
    """

    size: int = 16
    scorer: PrefixScorer = field(default_factory=_ZeroScorer)
    floor: float = 7.0

    def stream(self) -> CTCStream:
        """Return the decoder of a new utterance."""
        return _PrefixStream(self)


@dataclass(frozen=True)
class _Prefix:
    """A linked list of tokens, newest first, with the scorer's state; equal ones are one object."""

    token: int
    before: _Prefix | None
    state: Hashable
    added: float

    def tokens(self) -> list[int]:
        tokens, node = [], self
        while node.before is not None:
            tokens.append(node.token)
            node = node.before
        return tokens[::-1]


class _Scores:
    """``log p`` of a prefix's paths that end in a blank, and that end in its last token."""

    __slots__ = ("blank", "token")

    def __init__(self, blank: float = _NEVER, token: float = _NEVER) -> None:
        self.blank, self.token = blank, token

    @property
    def total(self) -> float:
        return float(np.logaddexp(self.blank, self.token))


class _PrefixStream:
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
        candidates: dict[int, tuple[_Prefix, _Scores]] = {}
        for prefix, before in self.prefixes.values():
            total = before.total
            own = _entry(candidates, prefix)
            own.blank = _logaddexp(own.blank, total + values[BLANK])
            if prefix.before is not None:
                own.token = _logaddexp(own.token, before.token + values[prefix.token])
            for token in tried:
                follows = before.blank if token == prefix.token and prefix.before is not None else total
                if follows > _NEVER:
                    longer = _entry(candidates, self._child(prefix, token))
                    longer.token = _logaddexp(longer.token, follows + values[token])
        self._keep(candidates)

    def _child(self, prefix: _Prefix, token: int) -> _Prefix:
        key = id(prefix), token
        if key not in self.children:
            state, gained = self.beam.scorer.advance(prefix.state, token)
            self.children[key] = _Prefix(token, prefix, state, prefix.added + gained)
        return self.children[key]

    def _keep(self, candidates: dict[int, tuple[_Prefix, _Scores]]) -> None:
        ranked = sorted(candidates.items(), key=lambda entry: -(entry[1][1].total + entry[1][0].added))
        self.prefixes = dict(ranked[: self.beam.size])
        if len(self.children) > 64 * self.beam.size:
            self._forget()

    def _forget(self) -> None:
        """Drop the children that lead to no prefix of the beam."""
        alive: set[int] = set()
        for prefix, _ in self.prefixes.values():
            node: _Prefix | None = prefix
            while node is not None and id(node) not in alive:
                alive.add(id(node))
                node = node.before
        self.children = {key: child for key, child in self.children.items() if id(child) in alive}

    def _winner(self, closing: Callable[[Hashable], float]) -> _Prefix:
        """Return the best prefix when ``closing(state)`` is added to its score."""
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


def _entry(candidates: dict[int, tuple[_Prefix, _Scores]], prefix: _Prefix) -> _Scores:
    if id(prefix) not in candidates:
        candidates[id(prefix)] = prefix, _Scores()
    return candidates[id(prefix)][1]


def _logaddexp(one: float, other: float) -> float:
    if one == _NEVER:
        return other
    high, low = (one, other) if one > other else (other, one)
    return high + float(np.log1p(np.exp(low - high)))


def _common(chains: Sequence[list[int]]) -> list[int]:
    """Return the longest common prefix."""
    first, last = min(chains), max(chains)
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    return first[:same]


@dataclass(frozen=True)
class Span:
    """A token in time: its first frame, the frame after its last, and its mean ``log p``."""

    token: int
    start: int
    end: int
    log_probability: float


def force_align(scores: Array, tokens: Sequence[int]) -> list[Span]:
    """Return the span of each token on the Viterbi path of ``log p`` [S, V].

    Frames of a blank belong to no token. Without enough frames there is no path, and the list is
    empty.

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
    moves = np.zeros((len(scores), len(states)), np.int8)
    for frame, row in enumerate(np.asarray(scores, np.float64)):
        options = np.full((3, len(states)), _NEVER)
        options[0], options[1, 1:] = best, best[:-1]
        options[2, 2:] = np.where(skips[2:], best[:-2], _NEVER)
        moves[frame] = options.argmax(0)
        best = options.max(0) + row[states]
    if len(scores) == 0 or not tokens or max(best[-1], best[-2]) == _NEVER:
        return []
    path = _trace_back(moves, len(states) - 1 if best[-1] >= best[-2] else len(states) - 2)
    spans = []
    for place, token in enumerate(tokens):
        frames = np.flatnonzero(path == 2 * place + 1)
        own = float(np.mean(scores[frames, token]))
        spans.append(Span(int(token), int(frames[0]), int(frames[-1]) + 1, own))
    return spans


def _trace_back(moves: Array, state: int) -> Array:
    """Return the path that ends in a state, from each state's best predecessor."""
    path = np.zeros(len(moves), np.int64)
    for frame in range(len(moves) - 1, -1, -1):
        path[frame] = state
        state -= int(moves[frame, state])
    return path
