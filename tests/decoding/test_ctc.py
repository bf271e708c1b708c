"""CTC decoders against the sum over all paths."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.data.audio.validation import min_ctc_frames
from holdfast.decoding.ctc import BLANK, GreedyCTC, PrefixBeamSearch, decode, force_align

Array = np.ndarray


def scores_of(seed: int, frames: int, tokens: int, sharp: float = 1.0) -> Array:
    logits = np.random.default_rng(seed).normal(size=(frames, tokens)) * sharp
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def collapsed(path: Sequence[int]) -> tuple[int, ...]:
    return tuple(token for token, _ in itertools.groupby(path) if token != BLANK)


def by_counting(scores: Array) -> dict[tuple[int, ...], float]:
    """The probability of every token sequence: the sum over its paths."""
    totals: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(scores.shape[1]), repeat=len(scores)):
        chance = float(np.exp(sum(scores[frame, token] for frame, token in enumerate(path))))
        totals[collapsed(path)] = totals.get(collapsed(path), 0.0) + chance
    return totals


class Bonus:
    """A scorer with memory: ``nats`` for token 1 after token 2, and for an end after token 1."""

    def __init__(self, nats: float) -> None:
        self.nats = nats

    def start(self) -> Any:
        return BLANK

    def advance(self, state: Any, token: int) -> tuple[Any, float]:
        return token, self.nats if (state, token) == (2, 1) else 0.0

    def pause(self, state: Any) -> tuple[Any, float]:
        return state, 0.0

    def end(self, state: Any) -> float:
        return self.nats if state == 1 else 0.0

    def of(self, tokens: Sequence[int]) -> float:
        pairs = sum(pair == (2, 1) for pair in itertools.pairwise(tokens))
        return self.nats * (pairs + (tokens[-1:] == (1,)))


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(2, 4))
def test_a_wide_beam_finds_the_most_probable_tokens(seed: int, frames: int, tokens: int) -> None:
    scores = scores_of(seed, frames, tokens)
    totals = by_counting(scores)
    found = tuple(decode(PrefixBeamSearch(size=5000, floor=np.inf), scores))
    assert totals[found] == pytest.approx(max(totals.values()), rel=1e-9)


@given(st.integers(0, 10_000), st.floats(-3, 3))
def test_the_scorer_is_added_to_each_prefix(seed: int, nats: float) -> None:
    scores, scorer = scores_of(seed, 5, 3), Bonus(nats)
    ranked = {tokens: np.log(chance) + scorer.of(tokens) for tokens, chance in by_counting(scores).items()}
    found = tuple(decode(PrefixBeamSearch(size=5000, scorer=scorer, floor=np.inf), scores))
    assert ranked[found] == pytest.approx(max(ranked.values()), rel=1e-9)


@given(st.integers(0, 10_000), st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_frames_may_arrive_in_any_blocks(seed: int, pieces: list[int]) -> None:
    scores = scores_of(seed, sum(pieces), 5, 3.0)
    for decoding in (GreedyCTC(), PrefixBeamSearch(size=4)):
        decoder = decoding.stream()
        at = 0
        for piece in pieces:
            decoder.accept(scores[at : at + piece])
            at += piece
            certain, best = decoder.certain(), decoder.best()
            assert best[: len(certain)] == certain
        assert decoder.finish() == decode(decoding, scores)
        decoder.accept(scores)  # the decoder starts again
        assert decoder.finish() == decode(decoding, scores)


@given(st.integers(0, 10_000))
def test_certain_tokens_never_change(seed: int) -> None:
    scores = scores_of(seed, 12, 4, 3.0)
    decoder = PrefixBeamSearch(size=6).stream()
    certain: list[int] = []
    for row in scores:
        decoder.accept(row[None])
        assert decoder.certain()[: len(certain)] == certain
        certain = decoder.certain()
    assert decoder.finish()[: len(certain)] == certain


def test_greedy_takes_the_most_probable_token_of_each_frame() -> None:
    path = [1, 1, 0, 1, 2, 2, 0, 0, 3]
    assert decode(GreedyCTC(), np.log(np.eye(4)[path] * 0.9 + 0.025)) == [1, 1, 2, 3]


def test_a_new_segment_continues_from_the_best_prefix() -> None:
    scores = scores_of(3, 20, 4, 4.0)
    scores[9] = np.log([0.97, 0.01, 0.01, 0.01])
    for decoding in (GreedyCTC(), PrefixBeamSearch(size=3)):
        decoder = decoding.stream()
        decoder.accept(scores[:10])
        first = decoder.end_segment()
        assert decoder.best() == []
        decoder.accept(scores[10:])
        assert first == decode(decoding, scores[:10]) and decoder.finish() == decode(decoding, scores[10:])


def test_the_scorer_keeps_its_state_across_segments() -> None:
    """Token 1 gains after token 2, also with a pause between them."""
    beam = PrefixBeamSearch(size=8, scorer=Bonus(5.0), floor=np.inf)
    decoder = beam.stream()
    decoder.accept(np.log([[1e-4, 1e-4, 1.0], [1.0, 1e-4, 1e-4]]))
    assert decoder.end_segment() == [2]
    decoder.accept(np.log([[0.5, 0.05, 0.45]]))
    assert decoder.best() == [1]


@given(st.integers(0, 10_000), st.lists(st.integers(1, 3), min_size=1, max_size=3))
def test_alignment_is_the_most_probable_path(seed: int, tokens: list[int]) -> None:
    scores = scores_of(seed, 6, 4)
    paths = [path for path in itertools.product(range(4), repeat=6) if collapsed(path) == tuple(tokens)]
    spans = force_align(scores, tokens)
    assert [span.token for span in spans] == tokens
    own = np.zeros(6, np.int64)
    for span in spans:
        own[span.start : span.end] = span.token
        mean = np.mean([scores[f, span.token] for f in range(span.start, span.end)])
        assert span.log_probability == pytest.approx(mean)
    assert tuple(own) in paths
    chances = {path: sum(scores[f, u] for f, u in enumerate(path)) for path in paths}
    assert chances[tuple(own)] == pytest.approx(max(chances.values()))


def test_tokens_that_do_not_fit_have_no_alignment() -> None:
    assert force_align(scores_of(0, 2, 3), [1, 1]) == [] and force_align(scores_of(0, 2, 3), []) == []
    assert force_align(np.zeros((0, 3)), [1]) == []


@given(st.lists(st.integers(1, 3), max_size=6), st.integers(0, 12))
def test_tokens_fit_if_and_only_if_they_have_a_path(tokens: list[int], frames: int) -> None:
    has = bool(force_align(scores_of(1, frames, 4), tokens)) or not tokens
    assert (min_ctc_frames(tokens) <= frames) == has


def test_the_default_scorer_adds_nothing() -> None:
    free = PrefixBeamSearch().scorer
    assert free.advance(free.start(), 3)[1] == free.end(free.start()) == 0.0
