"""Overlap of a piece with a corpus: copies, repetition and pitch classes, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.data.music.novelty import (
    NoteArrays,
    TrainingNotes,
    above_tonic,
    hashes,
    longest_common,
    repetition,
)
from holdfast.errors import UserError

TUNE = [60, 62, 64, 65, 67, 69, 71, 72, 74, 76]


def notes(pitches: list[int], first: int = 0, step: int = 2) -> NoteArrays:
    count = len(pitches)
    return NoteArrays.of(first + step * np.arange(count), np.array(pitches), np.ones(count))


OTHER = notes([48, 55, 50, 57, 49, 60], step=1)
CORPUS = TrainingNotes.of([("other", OTHER), ("tune", notes(TUNE)), ("end", notes([90, 30, 90]))])

numbers = st.lists(st.integers(0, 2), min_size=0, max_size=25).map(np.array)


@given(numbers, numbers)
def test_the_longest_common_run_equals_a_plain_search(one: Any, other: Any) -> None:
    place, length = longest_common(one, other)
    runs = {tuple(one[i:j]) for i in range(len(one)) for j in range(i + 1, len(one) + 1)}
    mine = [tuple(other[i:j]) for i in range(len(other)) for j in range(i + 1, len(other) + 1)]
    assert length == max((len(run) for run in mine if run in runs), default=0)
    assert not length or tuple(other[place : place + length]) in runs


@given(st.lists(st.integers(-5, 2000), min_size=1, max_size=30), st.data())
def test_equal_windows_have_equal_hashes_and_others_differ(line: list[int], data: st.DataObject) -> None:
    length = data.draw(st.integers(1, len(line)))
    found = hashes(np.array(line), length).tolist()
    windows = [tuple(line[i : i + length]) for i in range(len(line) - length + 1)]
    assert len(found) == len(windows) and len(set(found)) == len(set(windows))


def test_a_copied_passage_is_found_with_its_piece_and_place() -> None:
    piece = notes([40, 41, *TUNE[3:8], 90, 91])
    found = CORPUS.longest_overlap(piece, transposed=False)
    assert found is not None and (found.piece, found.step) == ("tune", 6)
    assert found.notes == 5


def test_a_transposed_copy_is_found_only_on_request() -> None:
    piece = notes([pitch - 5 for pitch in TUNE[2:9]], first=30)
    exact, moved = (CORPUS.longest_overlap(piece, transposed=how) for how in (False, True))
    assert exact is not None and (exact.notes, exact.step) == (3, 0)  # 60, 62, 64 are in both
    assert moved is not None and (moved.notes, moved.piece, moved.step) == (7, "tune", 4)


def test_the_same_pitches_in_another_rhythm_are_not_a_copy() -> None:
    found = CORPUS.longest_overlap(notes(TUNE, step=3), transposed=True)
    assert found is None or found.notes <= 2


def under(tune: NoteArrays, seed: int, voices: bool) -> NoteArrays:
    """Return a legato melody above random notes, on its own voice if there are voices."""
    random = np.random.default_rng(seed)
    count = 4 * len(tune)
    starts, low = (
        random.integers(tune.starts.min(), tune.starts.max() + 1, count),
        random.integers(30, 55, count),
    )
    both = [np.concatenate(x) for x in ((tune.starts, starts), (tune.pitches, low))]
    lengths = np.repeat([2, 1], [len(tune), count])
    return NoteArrays.of(*both, lengths, np.repeat([0, 1], [len(tune), count]) if voices else None)


@pytest.mark.parametrize("voices", [True, False])
@pytest.mark.parametrize("up", [0, 5])
def test_a_copied_melody_is_found_with_another_accompaniment(voices: bool, up: int) -> None:
    tune = notes(TUNE * 2)
    corpus = TrainingNotes.of(
        [("other", under(notes([60, 72] * 9), 1, voices)), ("song", under(tune, 2, voices))]
    )
    moved = NoteArrays.of(tune.starts + 8, tune.pitches + up, tune.lengths)
    for piece in (moved, under(moved, 3, voices)):
        found = corpus.longest_overlap(piece, transposed=bool(up))
        assert found is not None and found.is_copy
        assert (found.notes, found.piece, found.step) == (20, "song", 0)
        assert found.line_notes == 20 or not voices


def test_a_short_passage_is_not_a_copy() -> None:
    found = CORPUS.longest_overlap(notes(TUNE[:7]), transposed=False)
    assert found is not None and (found.share, found.is_copy) == (1.0, False)
    longer = CORPUS.longest_overlap(notes(TUNE[:8]), transposed=False)
    assert longer is not None and longer.is_copy


def test_repetition_counts_the_top_voice() -> None:
    again = notes([*range(60, 80), *range(60, 80)])
    assert repetition(under(again, 4, False)) == repetition(again) == pytest.approx(13 / 33)


def test_a_passage_does_not_cross_the_end_of_a_piece() -> None:
    joined = notes([*TUNE[-3:], 90, 30])
    found = CORPUS.longest_overlap(joined, transposed=False)
    assert found is not None and found.notes == 3


def test_without_notes_nothing_is_copied() -> None:
    nothing = notes([])
    assert CORPUS.longest_overlap(nothing, transposed=False) is None
    assert CORPUS.longest_overlap(nothing, transposed=True) is None
    assert repetition(nothing) == 0 and len(nothing.classes) == 12


def test_repetition_counts_repeated_passages() -> None:
    assert repetition(notes(list(range(40, 80)))) == 0
    twice = notes([*range(40, 60), *range(40, 60)])
    assert repetition(twice) == pytest.approx(
        13 / 33
    )  # of 33 runs of 8 notes, 13 are only in the second half


def test_repetition_is_compared_with_beginnings_of_the_same_length() -> None:
    again = notes([*range(40, 60), *range(40, 60)])
    corpus = TrainingNotes.of([("again", again), ("once", notes(list(range(30, 70)))), ("too", again)])
    assert corpus.typical_repetition(40) == pytest.approx(13 / 33) and corpus.typical_repetition(20) == 0


def test_pitch_classes_are_weighted_by_duration_and_counted_from_the_tonic() -> None:
    found = NoteArrays.of(np.array([0, 4]), np.array([60, 67]), np.array([4, 12]))
    np.testing.assert_allclose(found.classes[[0, 7]], [0.25, 0.75])
    major = notes([60, 64, 67, 72, 62, 65, 69, 71, 60])
    higher = notes([63, 67, 70, 75, 65, 68, 72, 74, 63])
    np.testing.assert_allclose(above_tonic(major), above_tonic(higher))
    corpus = TrainingNotes.of([("major", major), ("higher", higher)])
    assert corpus.distance(higher) == pytest.approx(0) and corpus.typical_distance == pytest.approx(0)
    assert corpus.distance(notes([61, 63, 66, 68])) > 0.3


def test_a_saved_corpus_is_read_back_unchanged() -> None:
    found = TrainingNotes.from_state(CORPUS.state())
    assert found.names == CORPUS.names and len(found) == 3
    np.testing.assert_array_equal(found.piece(1).pitches, TUNE)
    state = TrainingNotes.of([("two", under(notes(TUNE), 1, True))]).state()
    assert len(TrainingNotes.from_state(state).piece(0).lines()) == 4
    del state["corpus.voices"]  # the first format
    assert len(TrainingNotes.from_state(state).piece(0).lines()) == 2
    with pytest.raises(UserError, match="lacks notes of the training pieces"):
        TrainingNotes.from_state({})
