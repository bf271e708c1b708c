"""Piano rolls as notes, voices and MIDI."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from holdfast.data.music.meta import ScoreMeta
from holdfast.data.music.midi import load_symusic
from holdfast.data.music.piano_roll import LOWEST, Roll
from holdfast.files import write_atomic

if TYPE_CHECKING:
    from symusic.core import ScoreTick as Score

_TICKS = 480
"""Ticks per beat of written files, or the next multiple of the frames per beat."""
_VELOCITY = 80
_CROSSING = 12.0
"""Cost of crossing another voice, in semitones of leap."""
_MOST_FREE = 12
"""Maximum number of free voices for which every assignment is tried."""
_CHOIR = ("soprano", "alto", "tenor", "bass")
"""Names of four voices, from the top."""


class Note(NamedTuple):
    """A key that sounds from frame ``start`` until before frame ``end``."""

    start: int
    end: int
    key: int


def notes_of(roll: Roll) -> list[Note]:
    """Return the notes of a roll [T, K] by onset, from the top down; a held key is one note.

    Example:
        >>> notes_of(np.array([[1, 0], [1, 1], [0, 1]], bool))
        [Note(start=0, end=2, key=0), Note(start=1, end=3, key=1)]
    """
    edges = np.diff(roll.astype(np.int8), axis=0, prepend=0, append=0)
    keys, starts = np.nonzero(edges.T == 1)
    _, ends = np.nonzero(edges.T == -1)
    found = [Note(int(s), int(e), int(k)) for k, s, e in zip(keys, starts, ends, strict=True)]
    return sorted(found, key=lambda note: (note.start, -note.key))


def split_voices(roll: Roll) -> list[list[Note]]:
    """Split a roll into voices, the highest first.

    The number of voices is the most frequent number of simultaneous notes; the home of a voice is
    the mean key of its rank from the top. A larger chord adds voices. Notes that begin together go
    to free voices in order of pitch, so that voices move little, stay near their homes and rarely
    cross.
    """
    homes = _homes(roll)
    voices: list[list[Note]] = [[] for _ in homes]
    by_start: dict[int, list[Note]] = {}
    for note in notes_of(roll):
        by_start.setdefault(note.start, []).append(note)
    for start, new in by_start.items():
        sounding = {i: v[-1].key for i, v in enumerate(voices) if v and v[-1].end > start}
        free = [i for i in range(len(voices)) if i not in sounding]
        while len(free) < len(new):  # more notes at once than usual
            free.append(len(voices))
            homes.append(float(min(note.key for note in new)))
            voices.append([])
        for voice, note in zip(_way(voices, homes, sounding, free, new), new, strict=True):
            voices[voice].append(note)
    return voices


def _homes(roll: Roll) -> list[float]:
    """Return the mean key of each voice, the highest first, in chords of the most frequent size."""
    counts = roll.sum(1)
    if not counts.any():
        return []
    usual = int(np.bincount(counts[counts > 0]).argmax())
    chords = np.nonzero(roll[counts == usual])[1].reshape(-1, usual)
    return [float(home) for home in chords.mean(0)[::-1]]


def _way(
    voices: list[list[Note]], homes: list[float], sounding: dict[int, int], free: list[int], new: list[Note]
) -> tuple[int, ...]:
    """Assign notes, from the top down, to free voices."""

    def cost(voice: int, key: int) -> float:
        last = voices[voice][-1].key if voices[voice] else homes[voice]
        crossed = sum((key > at) != (voice < other) for other, at in sounding.items())
        return abs(last - key) + abs(homes[voice] - key) + _CROSSING * crossed

    if len(free) > _MOST_FREE:  # too many assignments to try
        return tuple(free[: len(new)])
    costs = {(i, note.key): cost(i, note.key) for i in free for note in new}
    ways = combinations(free, len(new))
    return min(ways, key=lambda way: sum(costs[i, note.key] for i, note in zip(way, new, strict=True)))


def voice_names(count: int, first: int = 1) -> list[str]:
    """Return names of voices from the top: a choir's for four, or three below a melody."""
    if count + first == len(_CHOIR) + 1:
        return list(_CHOIR[first - 1 :])
    return [f"voice {number}" for number in range(first, first + count)]


def score_of_voices(
    voices: Sequence[Sequence[Note]], steps_per_beat: int, heading: ScoreMeta, first: int = 1
) -> Score:
    """Return symusic's score of voices, each a track with its name (:func:`voice_names`)."""
    symusic = load_symusic()
    scale = -(-_TICKS // steps_per_beat)
    score = symusic.Score(scale * steps_per_beat)
    for name, voice in zip(voice_names(len(voices), first), voices, strict=True):
        track = symusic.Track(name, 0, False)
        for note in voice:
            start, length = note.start * scale, (note.end - note.start) * scale
            track.notes.append(symusic.Note(start, length, note.key + LOWEST, _VELOCITY))
        score.tracks.append(track)
    return heading.apply_to(score)


def score_of_roll(roll: Roll, steps_per_beat: int, heading: ScoreMeta | None = None) -> Score:
    """Return symusic's score of a roll, split into voices."""
    return score_of_voices(split_voices(roll), steps_per_beat, heading or ScoreMeta())


def save_midi(path: Path, score: Score) -> None:
    """Write a score as a MIDI file."""
    write_atomic(path, score.dumps_midi())
