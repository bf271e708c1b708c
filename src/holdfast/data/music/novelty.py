"""Novelty of a piece: its overlap with the training set, its repetition, and its pitch classes.

A piece is several lines of notes by onset, from the lowest up where several begin together: all
notes, the top line, and each voice; so a copied melody is found under any accompaniment. An overlap
is a run of such a line: pitches (or, whatever the transposition, intervals) and the times between
onsets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from holdfast._typing import Array
from holdfast.data.music.key_detection import likeliest_key
from holdfast.errors import damaged

_HASH_BASE = 0x9E3779B97F4A7C15
"""Odd multiplier of the hash of a window, modulo 2^64."""
_WINDOW = 8
"""Notes in a window that counts as a repetition, and in the shortest overlap that counts as a copy."""
_COPY_SHARE = 0.5
"""Fraction of a line's notes above which an overlap counts as a copy."""
ALL, _TOP = "all", "top line"
"""Lines of a piece, in addition to its voices."""
_LONGEST_PAUSE = 255
"""Steps between onsets above which all pauses are equal."""


@dataclass(frozen=True)
class NoteArrays:
    """The notes of a piece by onset: arrays [n]; ``starts`` and ``lengths`` are in steps."""

    starts: Array
    pitches: Array
    lengths: Array
    voices: Array

    @classmethod
    def of(cls, starts: Array, pitches: Array, lengths: Array, voices: Array | None = None) -> Self:
        """Sort notes of one or several voices; notes of equal voice, onset and pitch become one."""
        voices = np.zeros(len(starts), np.int64) if voices is None else voices
        order = np.lexsort((voices, pitches, starts))
        found = [np.asarray(x, np.int64)[order] for x in (starts, pitches, lengths, voices)]
        return cls(*found)._each_once(found[0], found[1], found[3])

    def _each_once(self, *by: Array) -> Self:
        """Keep the first of neighboring notes that are equal in these arrays."""
        new = np.ones(len(self), np.bool_)
        new[1:] = np.any([np.diff(x) != 0 for x in by], axis=0)
        return self[new]

    def __getitem__(self, chosen: Any) -> Self:
        """Select notes."""
        return type(self)(*(x[chosen] for x in (self.starts, self.pitches, self.lengths, self.voices)))

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def classes(self) -> Array:
        """The relative duration of each pitch class [12]."""
        found = np.bincount(self.pitches % 12, self.lengths, minlength=12).astype(np.float64)
        shares: Array = found / max(float(found.sum()), 1e-300)
        return shares

    def top(self) -> NoteArrays:
        """Return the top line: the notes above which nothing sounds at their onset.

        Example:
            >>> notes = NoteArrays.of(np.array([0, 0, 2, 4]), np.array([48, 72, 50, 71]), np.array([4, 4, 2, 1]))
            >>> notes.top().pitches
            array([72, 71])
        """
        if not len(self):
            return self
        highest = np.zeros(int((self.starts + self.lengths).max()) + 1, np.int64)
        first = min(0, int(self.starts[0]))
        for place in np.argsort(self.pitches, kind="stable").tolist():
            start = int(self.starts[place]) - first
            highest[start : start + int(self.lengths[place])] = self.pitches[place]
        once = self._each_once(self.starts, self.pitches)
        return once[once.pitches >= highest[once.starts - first]]

    def lines(self) -> dict[str | int, NoteArrays]:
        """Return :data:`ALL` notes, the :data:`_TOP` line, and each voice if there are several."""
        found: dict[str | int, NoteArrays] = {
            ALL: self._each_once(self.starts, self.pitches),
            _TOP: self.top(),
        }
        voices = np.unique(self.voices).tolist()
        return found | ({voice: self[self.voices == voice] for voice in voices} if len(voices) > 1 else {})

    def line(self, transposed: bool) -> Array:
        """Return a code [n - 1] for each step to the next note: time and pitches or interval."""
        times = np.minimum(np.diff(self.starts), _LONGEST_PAUSE)
        if transposed:
            return 1000 * times + 500 + np.diff(self.pitches)
        return (times * 128 + self.pitches[:-1]) * 128 + self.pitches[1:]


@dataclass(frozen=True)
class Overlap:
    """A run of notes that a line of a piece shares with a line of a training piece.

    Attributes:
        notes: number of notes in the run.
        line: the line of the piece: :data:`ALL`, :data:`_TOP`, or the number of a voice.
        line_notes: number of notes in that line.
        piece: name of the training piece.
        step: step at which the run begins there.
    """

    notes: int
    line: str | int
    line_notes: int
    piece: str
    step: int

    @property
    def share(self) -> float:
        """The fraction of the line that the run covers."""
        return self.notes / self.line_notes

    @property
    def is_copy(self) -> bool:
        """Whether the run covers most of the line and is too long for chance."""
        return self.share > _COPY_SHARE and self.notes >= _WINDOW


_KINDS_OF_NUMBER = {"starts": np.int32, "pitches": np.uint8, "lengths": np.int32, "voices": np.uint16}
"""Saved arrays of notes -> dtype."""


@dataclass(frozen=True)
class TrainingNotes:
    """The notes of all training pieces, joined; ``ends`` [p] is where each piece ends."""

    names: tuple[str, ...]
    ends: Array
    notes: NoteArrays

    @classmethod
    def of(cls, pieces: Sequence[tuple[str, NoteArrays]]) -> Self:
        """Join the notes of named pieces."""
        notes = [piece for _, piece in pieces]
        joined = [np.concatenate([getattr(x, f) for x in notes]) for f in _KINDS_OF_NUMBER]
        ends = np.cumsum([len(x) for x in notes])
        return cls(tuple(name for name, _ in pieces), ends, NoteArrays(*joined))

    def __len__(self) -> int:
        return len(self.names)

    def piece(self, place: int) -> NoteArrays:
        """Return the notes of one piece."""
        return self.notes[int(self.ends[place - 1]) if place else 0 : int(self.ends[place])]

    @property
    def sounding(self) -> list[int]:
        """The indices of the pieces that have notes."""
        return np.flatnonzero(np.diff(self.ends, prepend=0)).tolist()

    @cached_property
    def classes(self) -> Array:
        """The mean relative duration of each pitch class above the tonic [12]."""
        found: Array = np.mean([above_tonic(self.piece(i)) for i in range(len(self))], axis=0)
        return found

    @cached_property
    def typical_distance(self) -> float:
        """The median :meth:`distance` of the training pieces."""
        return float(np.median([self.distance(self.piece(i)) for i in range(len(self))]))

    def typical_repetition(self, notes: int) -> float:
        """Return the median :func:`repetition` over the first notes of each training piece."""
        return float(np.median([repetition(self.piece(i)[:notes]) for i in range(len(self))]))

    def distance(self, notes: NoteArrays) -> float:
        """Return the total variation distance of the classes above the tonic from the mean."""
        return float(np.abs(above_tonic(notes) - self.classes).sum() / 2)

    def longest_overlap(self, notes: NoteArrays, *, transposed: bool) -> Overlap | None:
        """Return the longest overlap of a line of a piece with a line of a training piece.

        An overlap that covers most of its line comes before a longer one that does not. None: there
        is none of two notes.
        """
        pieces, lines = self._lines
        rows = [line.line(transposed) for line in lines]
        joined = np.concatenate([np.append(row, -1 - i) for i, row in enumerate(rows)])
        borders = np.cumsum([len(row) + 1 for row in rows])
        found = []
        for name, own in notes.lines().items():
            place, length = longest_common(own.line(transposed), joined)
            if length:
                at = int(np.searchsorted(borders, place, side="right"))
                note = place - (int(borders[at - 1]) if at else 0)
                step = int(lines[at].starts[note])
                found.append(Overlap(length + 1, name, len(own), self.names[pieces[at]], step))
        return max(found, key=lambda one: (one.is_copy, one.notes, -one.line_notes), default=None)

    @cached_property
    def _lines(self) -> tuple[list[int], list[NoteArrays]]:
        """All lines of all pieces, and the index of the piece of each."""
        every = [(i, line) for i in range(len(self)) for line in self.piece(i).lines().values()]
        return [piece for piece, _ in every], [line for _, line in every]

    def state(self) -> dict[str, Array]:
        """Return all data as named arrays."""
        names = np.frombuffer("\n".join(self.names).encode(), np.uint8).copy()
        arrays = {name: getattr(self.notes, name).astype(kind) for name, kind in _KINDS_OF_NUMBER.items()}
        return {f"corpus.{k}": v for k, v in {"names": names, "ends": self.ends, **arrays}.items()}

    @classmethod
    def from_state(cls, arrays: Mapping[str, Array]) -> Self:
        """Restore what :meth:`state` returned.

        Raises:
            UserError: an array is missing.
        """
        try:
            found = [arrays[f"corpus.{name}"] for name in ("names", "ends", "starts", "pitches", "lengths")]
            found.append(arrays.get("corpus.voices", np.zeros(len(found[2]))))  # old runs have one voice
            names = tuple(found[0].tobytes().decode().split("\n"))
            ends, *notes = (x.astype(np.int64) for x in found[1:])
            return cls(names, ends, NoteArrays(*notes))
        except (KeyError, ValueError) as error:
            got = f"It lacks notes of the training pieces: {error}."
            raise damaged("baselines.safetensors", got) from error


def above_tonic(notes: NoteArrays) -> Array:
    """Return the shares of the pitch classes [12], the tonic of the likeliest key first."""
    return np.roll(notes.classes, -likeliest_key(notes.classes).tonic)


def repetition(notes: NoteArrays) -> float:
    """Return the fraction of the top line's eight-note windows that repeat earlier pitches."""
    line = notes.top().line(False)
    if len(line) < _WINDOW - 1:
        return 0.0
    windows = hashes(line, _WINDOW - 1)
    return 1.0 - len(np.unique(windows)) / len(windows)


def longest_common(one: Array, other: Array) -> tuple[int, int]:
    """Return where in ``other`` its longest run shared with ``one`` begins, and the length.

    Example:
        >>> longest_common(np.array([5, 1, 2, 3, 9]), np.array([1, 2, 0, 1, 2, 3, 4]))
        (3, 3)
    """
    least, most, place = 0, min(len(one), len(other)), 0
    while least < most:  # a run of length n contains runs of all smaller lengths
        length = (least + most + 1) // 2
        mine, theirs = np.sort(hashes(one, length)), hashes(other, length)
        at = np.searchsorted(mine, theirs).clip(max=len(mine) - 1)  # faster than isin where one is short
        found = np.flatnonzero(mine[at] == theirs)
        if len(found):
            least, place = length, int(found[0])
        else:
            most = length - 1
    return place, least


def hashes(line: Array, length: int) -> Array:
    """Hash each window [n - length + 1] of a line: ``sum_i BASE^(length - 1 - i) x_i`` modulo 2^64.

    Doubling adds them up: a window of 2 m numbers is two windows of m.
    """
    window = np.asarray(line, np.int64).astype(np.uint64) + np.uint64(1)
    count, done, size, factor = len(line) - length + 1, 0, 1, _HASH_BASE
    found = np.zeros(max(count, 0), np.uint64)
    while size <= length:
        if length & size:
            found = found * np.uint64(factor) + window[done : done + count]
            done += size
        if 2 * size <= length:
            window = window[: len(window) - size] * np.uint64(factor) + window[size:]
        factor, size = factor * factor % 2**64, 2 * size
    return found
