"""Decoders of connectionist temporal classification against all paths, counted one by one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.data.audio.validation import min_ctc_frames
from holdfast.decoding.ctc import BLANK, GreedyCTC, NoScorer, PrefixBeamSearch, decode, force_align

Array = np.ndarray


def scores_of(seed: int, frames: int, units: int, sharp: float = 1.0) -> Array:
    logits = np.random.default_rng(seed).normal(size=(frames, units)) * sharp
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def collapsed(path: Sequence[int]) -> tuple[int, ...]:
    return tuple(unit for unit, _ in itertools.groupby(path) if unit != BLANK)


def by_counting(scores: Array) -> dict[tuple[int, ...], float]:
    """The probability of every sequence of units: the sum over its paths."""
    totals: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(scores.shape[1]), repeat=len(scores)):
        chance = float(np.exp(sum(scores[frame, unit] for frame, unit in enumerate(path))))
        totals[collapsed(path)] = totals.get(collapsed(path), 0.0) + chance
    return totals


class Bonus:
    """A scorer that depends on what came before: so many nats for unit 1 behind unit 2, and for an end in unit 1."""

    def __init__(self, nats: float) -> None:
        self.nats = nats

    def start(self) -> Any:
        return BLANK

    def advance(self, state: Any, unit: int) -> tuple[Any, float]:
        return unit, self.nats if (state, unit) == (2, 1) else 0.0

    def pause(self, state: Any) -> tuple[Any, float]:
        return state, 0.0

    def end(self, state: Any) -> float:
        return self.nats if state == 1 else 0.0

    def of(self, units: Sequence[int]) -> float:
        pairs = sum(pair == (2, 1) for pair in itertools.pairwise(units))
        return self.nats * (pairs + (units[-1:] == (1,)))


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(2, 4))
def test_a_wide_beam_finds_the_likeliest_units(seed: int, frames: int, units: int) -> None:
    scores = scores_of(seed, frames, units)
    totals = by_counting(scores)
    found = tuple(decode(PrefixBeamSearch(size=5000, floor=np.inf), scores))
    assert totals[found] == pytest.approx(max(totals.values()), rel=1e-9)


@given(st.integers(0, 10_000), st.floats(-3, 3))
def test_a_grammar_is_added_to_each_prefix(seed: int, nats: float) -> None:
    scores, scorer = scores_of(seed, 5, 3), Bonus(nats)
    ranked = {units: np.log(chance) + scorer.of(units) for units, chance in by_counting(scores).items()}
    found = tuple(decode(PrefixBeamSearch(size=5000, scorer=scorer, floor=np.inf), scores))
    assert ranked[found] == pytest.approx(max(ranked.values()), rel=1e-9)


@given(st.integers(0, 10_000), st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_frames_may_come_in_any_pieces(seed: int, pieces: list[int]) -> None:
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
        decoder.accept(scores)  # the decoder begins anew
        assert decoder.finish() == decode(decoding, scores)


@given(st.integers(0, 10_000))
def test_what_is_certain_stays(seed: int) -> None:
    scores = scores_of(seed, 12, 4, 3.0)
    decoder = PrefixBeamSearch(size=6).stream()
    certain: list[int] = []
    for row in scores:
        decoder.accept(row[None])
        assert decoder.certain()[: len(certain)] == certain
        certain = decoder.certain()
    assert decoder.finish()[: len(certain)] == certain


def test_greedy_takes_the_likeliest_of_each_frame() -> None:
    path = [1, 1, 0, 1, 2, 2, 0, 0, 3]
    assert decode(GreedyCTC(), np.log(np.eye(4)[path] * 0.9 + 0.025)) == [1, 1, 2, 3]


def test_settling_goes_on_from_the_best() -> None:
    scores = scores_of(3, 20, 4, 4.0)
    scores[9] = np.log([0.97, 0.01, 0.01, 0.01])
    for decoding in (GreedyCTC(), PrefixBeamSearch(size=3)):
        decoder = decoding.stream()
        decoder.accept(scores[:10])
        first = decoder.end_segment()
        assert decoder.best() == []
        decoder.accept(scores[10:])
        assert first == decode(decoding, scores[:10]) and decoder.finish() == decode(decoding, scores[10:])


def test_a_grammar_hears_of_what_was_settled() -> None:
    """Unit 1 gains behind unit 2, also where a pause was between."""
    beam = PrefixBeamSearch(size=8, scorer=Bonus(5.0), floor=np.inf)
    decoder = beam.stream()
    decoder.accept(np.log([[1e-4, 1e-4, 1.0], [1.0, 1e-4, 1e-4]]))
    assert decoder.end_segment() == [2]
    decoder.accept(np.log([[0.5, 0.05, 0.45]]))
    assert decoder.best() == [1]


@given(st.integers(0, 10_000), st.lists(st.integers(1, 3), min_size=1, max_size=3))
def test_units_stand_on_their_likeliest_path(seed: int, units: list[int]) -> None:
    scores = scores_of(seed, 6, 4)
    paths = [path for path in itertools.product(range(4), repeat=6) if collapsed(path) == tuple(units)]
    spans = force_align(scores, units)
    assert [span.token for span in spans] == units
    own = np.zeros(6, np.int64)
    for span in spans:
        own[span.start : span.end] = span.token
        mean = np.mean([scores[f, span.token] for f in range(span.start, span.end)])
        assert span.log_probability == pytest.approx(mean)
    assert tuple(own) in paths
    chances = {path: sum(scores[f, u] for f, u in enumerate(path)) for path in paths}
    assert chances[tuple(own)] == pytest.approx(max(chances.values()))


def test_units_that_do_not_fit_have_no_place() -> None:
    assert force_align(scores_of(0, 2, 3), [1, 1]) == [] and force_align(scores_of(0, 2, 3), []) == []
    assert force_align(np.zeros((0, 3)), [1]) == []


@given(st.lists(st.integers(1, 3), max_size=6), st.integers(0, 12))
def test_what_fits_is_what_has_a_path(units: list[int], frames: int) -> None:
    has = bool(force_align(scores_of(1, frames, 4), units)) or not units
    assert (min_ctc_frames(units) <= frames) == has


def test_a_free_grammar_adds_nothing() -> None:
    free = NoScorer()
    assert free.advance(free.start(), 3)[1] == free.end(free.start()) == 0.0
