"""What is wished of a composition, whatever the model, and how its parts are put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.data.keys import Key
from holdfast.data.midi import Song, load_symusic, read_songs
from holdfast.data.passages import Notes
from holdfast.data.voices import Heading
from holdfast.errors import UserError
from holdfast.tasks.music.config import Prediction

USUAL_BARS = 16
"""Bars that are composed when no length is given."""


@dataclass(frozen=True)
class Wish:
    """What is wished.

    Attributes:
        heading: tempo, key and bars.
        beats: quarters to compose, behind the primer.
        primer: what is gone on with; its beats are whole bars.
        scale: [12] the pitch classes that may be composed.
        temperature, top_p, seed, proposals: as in :class:`Prediction`.
    """

    heading: Heading
    beats: float
    primer: Song | None
    scale: Any
    temperature: float = 1.0
    top_p: float | None = None
    seed: int | None = None
    proposals: int = 32

    @property
    def start(self) -> float:
        """Quarters of the primer, up to the end of its last bar."""
        if self.primer is None:
            return 0.0
        beats = self.primer.score.end() / self.primer.score.ticks_per_quarter
        return float(-(-round(beats, 6) // self.heading.bar) * self.heading.bar)

    @property
    def seconds(self) -> float:
        """How long the whole piece is."""
        return (self.start + self.beats) * 60 / self.heading.tempo


def wish_of(asked: Prediction, primer: Song | None) -> Wish:
    """What is asked for, with what the primer says where nothing is."""
    heading = Heading() if primer is None else Heading.of(primer.score)
    key = heading.key if asked.key is None else Key.of(asked.key)
    heading = replace(heading, tempo=asked.tempo or heading.tempo, key=key)
    if primer is not None and asked.primer_bars is not None:
        primer = first_beats(primer, asked.primer_bars * heading.bar)
    beats = (asked.bars or USUAL_BARS) * heading.bar
    if asked.seconds is not None:
        beats = asked.seconds * heading.tempo / 60
    scale = np.ones(12, np.bool_) if asked.key is None else Key.of(asked.key).scale
    drawing = {name: getattr(asked, name) for name in ("temperature", "top_p", "seed", "proposals")}
    return Wish(heading, beats, primer, scale, **drawing)


def one_song(path: Path) -> Song:
    """The piece of a MIDI file, or the first tune of an ABC file.

    Raises:
        UserError: a folder, or no such piece.
    """
    if Path(path).is_dir():
        raise UserError("One piece is gone on with.", f"{path} is a folder.", "Give a MIDI file.")
    return read_songs(path)[0]


def first_beats(song: Song, beats: float) -> Song:
    """The beginning of a piece, of so many quarters.

    Raises:
        UserError: there is no note in it.
    """
    score = song.score.clip(0, round(beats * song.score.ticks_per_quarter), clip_end=True)
    if not score.note_num():
        got = f"The first {beats:g} beats of {song.name} have none."
        raise UserError("A primer has notes.", got, "Give more --primer-bars, or leave them out.")
    return Song(song.name, score)


def notes_in(score: Any, steps_per_beat: int, start: float = 0.0) -> Notes:
    """The notes of a score from a quarter on, drums left out, in steps."""
    tracks = [t.notes.numpy() for t in score.tracks if not t.is_drum and len(t.notes)]
    names = ("time", "pitch", "duration")
    time, pitch, length = (
        np.concatenate([t[n].astype(np.int64) for t in tracks] or [np.zeros(0, np.int64)]) for n in names
    )
    later = time >= round(start * score.ticks_per_quarter)
    scale = steps_per_beat / score.ticks_per_quarter
    steps = np.round(time[later] * scale).astype(np.int64)
    return Notes.of(steps, pitch[later], np.maximum(1, np.round(length[later] * scale)).astype(np.int64))


def put_behind(
    first: Any, then: Any, start: float, place: Callable[[Sequence[Any], int, Any], int | None]
) -> Any:
    """A score with the notes of another one behind it.

    Args:
        first: it keeps its tracks as they are.
        then: its notes come on a track of the first one, or on one of their own.
        start: quarters of the first one, at which the other begins.
        place: (the first one's tracks, number of a track, that track) -> number of the first one's track, or None.
    """
    symusic, score = load_symusic(), first.copy()
    whole, scale = score.ticks_per_quarter, score.ticks_per_quarter / then.ticks_per_quarter
    tracks = list(score.tracks)
    for number, track in enumerate(then.tracks):
        at = place(tracks, number, track)
        onto = symusic.Track(track.name, track.program, track.is_drum) if at is None else score.tracks[at]
        for note in track.notes:
            begin, end = (round(start * whole + t * scale) for t in (note.time, note.time + note.duration))
            onto.notes.append(symusic.Note(begin, max(1, end - begin), note.pitch, note.velocity))
        if at is None and len(onto.notes):
            score.tracks.append(onto)
    return score


def cut(score: Any, beats: float) -> Any:
    """The score up to a quarter: what begins later is left out, what sounds on ends there."""
    end = round(beats * score.ticks_per_quarter)
    return score.clip(0, end, clip_end=True)
