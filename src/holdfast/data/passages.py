"""What a piece has of a corpus: passages that stand there too, what repeats, and how often each pitch class sounds.

A piece is a line of notes by their beginnings, from the lowest up where several begin together. A passage is a run of
that line: pitches (or, whatever the transposition, steps from pitch to pitch) and the times between beginnings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from holdfast.data.keys import likeliest_key
from holdfast.errors import UserError

Array = NDArray[Any]
BASE = 0x9E3779B97F4A7C15
"""Odd multiplier of the hash of a window, modulo 2^64."""
WINDOW = 8
"""Notes of a passage by which repetition is counted."""
LONGEST_PAUSE = 255
"""Steps between beginnings above which all count alike."""


@dataclass(frozen=True)
class Notes:
    """The notes of a piece by their beginnings: ``starts`` [n] in steps, ``pitches`` [n] and ``lengths`` [n]."""

    starts: Array
    pitches: Array
    lengths: Array

    @classmethod
    def of(cls, starts: Array, pitches: Array, lengths: Array) -> Self:
        """Notes in any order; those that begin together with the same pitch are one."""
        order = np.lexsort((pitches, starts))
        starts, pitches, lengths = (np.asarray(x, np.int64)[order] for x in (starts, pitches, lengths))
        new = np.ones(len(starts), np.bool_)
        new[1:] = (np.diff(starts) != 0) | (np.diff(pitches) != 0)
        return cls(starts[new], pitches[new], lengths[new])

    def __len__(self) -> int:
        return len(self.starts)

    def first(self, count: int) -> Notes:
        """The first so many of them."""
        return Notes(self.starts[:count], self.pitches[:count], self.lengths[:count])

    @property
    def classes(self) -> Array:
        """How long each pitch class sounds [12], as shares."""
        found = np.bincount(self.pitches % 12, self.lengths, minlength=12).astype(np.float64)
        shares: Array = found / max(float(found.sum()), 1e-300)
        return shares

    def line(self, transposed: bool) -> Array:
        """A number for each step to the next note [n - 1]: its time, and both pitches or how far they are apart."""
        times = np.minimum(np.diff(self.starts), LONGEST_PAUSE)
        if transposed:
            return 1000 * times + 500 + np.diff(self.pitches)
        return (times * 128 + self.pitches[:-1]) * 128 + self.pitches[1:]


@dataclass(frozen=True)
class Passage:
    """A run of notes that two pieces have: its number of notes, the other piece's name, and the step it begins at."""

    notes: int
    piece: str
    step: int


@dataclass(frozen=True)
class Corpus:
    """The notes of the training pieces, one piece after the other; ``ends`` [p] is where each ends."""

    names: tuple[str, ...]
    ends: Array
    starts: Array
    pitches: Array
    lengths: Array

    @classmethod
    def of(cls, pieces: Sequence[tuple[str, Notes]]) -> Self:
        """The notes of pieces with their names."""
        notes = [piece for _, piece in pieces]
        joined = [np.concatenate([getattr(x, f) for x in notes]) for f in ("starts", "pitches", "lengths")]
        return cls(tuple(name for name, _ in pieces), np.cumsum([len(x) for x in notes]), *joined)

    def __len__(self) -> int:
        return len(self.names)

    def piece(self, place: int) -> Notes:
        """The notes of one of the pieces."""
        some = slice(int(self.ends[place - 1]) if place else 0, int(self.ends[place]))
        return Notes(self.starts[some], self.pitches[some], self.lengths[some])

    @cached_property
    def classes(self) -> Array:
        """Mean share of each pitch class above the tonic [12]."""
        found: Array = np.mean([above_tonic(self.piece(i)) for i in range(len(self))], axis=0)
        return found

    @cached_property
    def typical_distance(self) -> float:
        """Median distance of a training piece's pitch classes from the mean."""
        return float(np.median([self.distance(self.piece(i)) for i in range(len(self))]))

    def typical_repetition(self, notes: int) -> float:
        """Median of :func:`repetition` over the beginnings of the training pieces, of so many notes."""
        return float(np.median([repetition(self.piece(i).first(notes)) for i in range(len(self))]))

    def distance(self, notes: Notes) -> float:
        """Half the sum of the differences between shares of pitch classes above the tonic: 0 alike, 1 disjoint."""
        return float(np.abs(above_tonic(notes) - self.classes).sum() / 2)

    def longest(self, notes: Notes, *, transposed: bool) -> Passage | None:
        """The longest passage of a piece that stands in a training piece too; None where there is none of two notes."""
        lines = [self.piece(i).line(transposed) for i in range(len(self))]
        joined = np.concatenate([np.append(line, -1 - i) for i, line in enumerate(lines)])
        place, length = longest_common(notes.line(transposed), joined)
        if not length:
            return None
        borders = np.cumsum([len(line) + 1 for line in lines])
        piece = int(np.searchsorted(borders, place, side="right"))
        note = place - (int(borders[piece - 1]) if piece else 0)
        return Passage(length + 1, self.names[piece], int(self.piece(piece).starts[note]))

    def state(self) -> dict[str, Array]:
        """Everything as arrays by name."""
        names = np.frombuffer("\n".join(self.names).encode(), np.uint8).copy()
        kinds = {"starts": np.int32, "pitches": np.uint8, "lengths": np.int32}
        arrays = {name: getattr(self, name).astype(kind) for name, kind in kinds.items()}
        return {f"corpus.{k}": v for k, v in {"names": names, "ends": self.ends, **arrays}.items()}

    @classmethod
    def from_state(cls, arrays: Mapping[str, Array]) -> Self:
        """What :meth:`state` gave.

        Raises:
            UserError: something lacks.
        """
        try:
            found = [arrays[f"corpus.{name}"] for name in ("names", "ends", "starts", "pitches", "lengths")]
            names = tuple(found[0].tobytes().decode().split("\n"))
            return cls(names, *(x.astype(np.int64) for x in found[1:]))
        except (KeyError, ValueError) as error:
            rule = "baselines.safetensors holds the training pieces' notes as training wrote them."
            raise UserError(rule, f"They lack: {error}.", "Copy the folder again, or train anew.") from error


def above_tonic(notes: Notes) -> Array:
    """Shares of pitch classes [12], that of the likeliest key's tonic first."""
    return np.roll(notes.classes, -likeliest_key(notes.classes).tonic)


def repetition(notes: Notes) -> float:
    """Share of the passages of eight notes that stood earlier in the piece already, at the same pitches."""
    line = notes.line(False)
    if len(line) < WINDOW - 1:
        return 0.0
    windows = hashes(line, WINDOW - 1)
    return 1.0 - len(np.unique(windows)) / len(windows)


def longest_common(one: Array, other: Array) -> tuple[int, int]:
    """Where in ``other`` the longest run begins that ``one`` has too, and its length.

    Example:
        >>> longest_common(np.array([5, 1, 2, 3, 9]), np.array([1, 2, 0, 1, 2, 3, 4]))
        (3, 3)
    """
    least, most, place = 0, min(len(one), len(other)), 0
    while least < most:  # a run of length n has runs of all smaller lengths
        length = (least + most + 1) // 2
        found = np.flatnonzero(np.isin(hashes(other, length), hashes(one, length)))
        if len(found):
            least, place = length, int(found[0])
        else:
            most = length - 1
    return place, least


def hashes(line: Array, length: int) -> Array:
    """A hash of each window [n - length + 1] of so many numbers: ``sum_i BASE^(length - 1 - i) x_i`` modulo 2^64.

    They are added up by doubling: a window of 2 m numbers is two of m.
    """
    window = np.asarray(line, np.int64).astype(np.uint64) + np.uint64(1)
    count, done, size, factor = len(line) - length + 1, 0, 1, BASE
    found = np.zeros(max(count, 0), np.uint64)
    while size <= length:
        if length & size:
            found = found * np.uint64(factor) + window[done : done + count]
            done += size
        if 2 * size <= length:
            window = window[: len(window) - size] * np.uint64(factor) + window[size:]
        factor, size = factor * factor % 2**64, 2 * size
    return found
