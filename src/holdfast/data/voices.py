"""Rolls as notes, voices and MIDI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from holdfast.data.keys import Key
from holdfast.data.midi import load_symusic
from holdfast.data.music import LOWEST, Roll
from holdfast.files import write_atomic

TICKS = 480
"""Ticks of a beat in what is written, or a few more where its frames ask for it."""
VELOCITY = 80
CHOIR = ("soprano", "alto", "tenor", "bass")
"""Names of four voices, from the top."""


class Note(NamedTuple):
    """A key that sounds from frame ``start`` until before frame ``end``."""

    start: int
    end: int
    key: int


@dataclass(frozen=True)
class Heading:
    """What stands at the head of a piece.

    Attributes:
        tempo: quarters a minute.
        key: signature, where there is one.
        signature: beats of a bar, and what a beat is.
    """

    tempo: float = 120.0
    key: Key | None = None
    signature: tuple[int, int] = (4, 4)

    @property
    def bar(self) -> float:
        """Quarters of a bar."""
        return 4 * self.signature[0] / self.signature[1]

    def put(self, score: Any) -> Any:
        """The score with this head in the place of its own."""
        symusic, unit = load_symusic(), "tick"
        score.tempos = [symusic.Tempo(0, self.tempo, ttype=unit)]
        score.time_signatures = [symusic.TimeSignature(0, *self.signature, ttype=unit)]
        keys = [] if self.key is None else [(self.key.sharps, int(self.key.minor))]
        score.key_signatures = [symusic.KeySignature(0, *key, ttype=unit) for key in keys]
        return score

    @classmethod
    def of(cls, score: Any) -> Heading:
        """What stands at the head of a score; a tempo of 120 and 4/4 where nothing does, as the standard has it."""
        key = next((Key(int(k.key), bool(k.tonality)) for k in score.key_signatures if abs(k.key) <= 7), None)
        bar = next(((s.numerator, s.denominator) for s in score.time_signatures), (4, 4))
        return cls(next((round(t.qpm, 3) for t in score.tempos), 120.0), key, bar)


def notes_of(roll: Roll) -> list[Note]:
    """The notes of a roll [T, K] by their beginnings, from the top down; a key that goes on sounding is one note.

    Example:
        >>> notes_of(np.array([[1, 0], [1, 1], [0, 1]], bool))
        [Note(start=0, end=2, key=0), Note(start=1, end=3, key=1)]
    """
    edges = np.diff(roll.astype(np.int8), axis=0, prepend=0, append=0)
    keys, starts = np.nonzero(edges.T == 1)
    _, ends = np.nonzero(edges.T == -1)
    found = [Note(int(s), int(e), int(k)) for k, s, e in zip(keys, starts, ends, strict=True)]
    return sorted(found, key=lambda note: (note.start, -note.key))


def split(roll: Roll) -> list[list[Note]]:
    """The notes of a roll by voices, the highest first: as many as sound at once at most.

    Notes that begin together go to voices that are free, in the order of their pitches, so that the voices move as
    little as they can.
    """
    count = int(roll.sum(1).max(initial=0))
    voices: list[list[Note]] = [[] for _ in range(count)]
    by_start: dict[int, list[Note]] = {}
    for note in notes_of(roll):
        by_start.setdefault(note.start, []).append(note)
    at: list[float] = _first_places(by_start, count)
    for start, new in by_start.items():
        free = [i for i, voice in enumerate(voices) if not voice or voice[-1].end <= start]
        chosen = _nearest([at[i] for i in free], [note.key for note in new])
        for place, note in zip(chosen, new, strict=True):
            voices[free[place]].append(note)
            at[free[place]] = note.key
    return voices


def _first_places(by_start: dict[int, list[Note]], count: int) -> list[float]:
    """Where voices stand before their first note: as in the first chord of all, or spread over the range."""
    full = next((new for new in by_start.values() if len(new) == count), None)
    if full is not None:
        return [float(note.key) for note in full]
    keys = [note.key for new in by_start.values() for note in new]
    return list(np.linspace(max(keys, default=0), min(keys, default=0), count))


def _nearest(places: Sequence[float], keys: Sequence[int]) -> tuple[int, ...]:
    """For keys from the top down, the places in their order whose distances have the least sum."""
    if len(places) > 12:  # there would be too many ways
        return tuple(range(len(keys)))
    ways = combinations(range(len(places)), len(keys))
    return min(ways, key=lambda way: sum(abs(places[i] - key) for i, key in zip(way, keys, strict=True)))


def score_of_voices(voices: Sequence[Sequence[Note]], steps_per_beat: int, heading: Heading) -> Any:
    """Symusic's score of some voices, each a track; four are a choir's."""
    symusic = load_symusic()
    scale = -(-TICKS // steps_per_beat)
    score = symusic.Score(scale * steps_per_beat)
    names = CHOIR if len(voices) == len(CHOIR) else [f"voice {i}" for i in range(1, len(voices) + 1)]
    for name, voice in zip(names, voices, strict=True):
        track = symusic.Track(name, 0, False)
        for note in voice:
            start, length = note.start * scale, (note.end - note.start) * scale
            track.notes.append(symusic.Note(start, length, note.key + LOWEST, VELOCITY))
        score.tracks.append(track)
    return heading.put(score)


def score_of_roll(roll: Roll, steps_per_beat: int, heading: Heading | None = None) -> Any:
    """Symusic's score of a roll, split into voices."""
    return score_of_voices(split(roll), steps_per_beat, heading or Heading())


def save_midi(path: Path, score: Any) -> None:
    """Write a score as a MIDI file."""
    write_atomic(path, score.dumps_midi())
