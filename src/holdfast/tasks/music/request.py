"""What is wished of a composition, whatever the model, and how its parts are put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.data.music.key_detection import Key
from holdfast.data.music.meta import DEFAULT_TIME_SIGNATURE, ScoreMeta, bar_lines, copy_meta, score_end
from holdfast.data.music.midi import ScorePiece, load_symusic, read_scores
from holdfast.data.music.novelty import NoteArrays
from holdfast.errors import UserError
from holdfast.tasks.music.config import FASTEST, PROPOSALS, SLOWEST, Prediction

_USUAL_BARS = 16
"""Bars that are composed when no length is given."""
_COLDEST = 1e-6
"""Temperature below which the likeliest is taken always: divided by less, numbers overflow."""
_LATEST = 1e-3
"""Quarters before the end of a primer at which its last tempo, key and bar are looked up."""


@dataclass(frozen=True)
class Wish:
    """What is wished.

    Attributes:
        heading: tempo, key and bars of what is composed.
        beats: quarters to compose, behind the primer.
        primer: what is gone on with.
        start: quarters of the primer, up to the end of its last bar.
        scale: [12] the pitch classes that may be composed.
        tempo, key: those that were asked for; None for the primer's.
        temperature, top_p, seed, proposals: as in :class:`Prediction`.
    """

    heading: ScoreMeta
    beats: float
    primer: ScorePiece | None
    start: float
    scale: Any
    tempo: float | None = None
    key: Key | None = None
    temperature: float = 1.0
    top_p: float | None = None
    seed: int | None = None
    proposals: int = PROPOSALS

    def head(self, score: Any) -> Any:
        """The score with its tempos, keys and bars: a primer's own as far as it goes, as long as nothing is asked."""
        if self.primer is None:
            return self.heading.apply_to(score)
        return copy_meta(
            score, self.primer.score, self.start, self.start if self.beats else 0.0, self.tempo, self.key
        )

    @property
    def under(self) -> Wish:
        """The same for what goes with the primer instead of behind it, as the voices under a melody."""
        return replace(self, beats=0.0)


def wish_of(
    asked: Prediction, primer: ScorePiece | None, signature: tuple[int, int] = DEFAULT_TIME_SIGNATURE
) -> Wish:
    """What is asked for, with what the primer says where nothing is; without a primer, in bars of this signature.

    Raises:
        UserError: what is asked of the primer it does not have, or it is too slow or too fast.
    """
    start, heading = 0.0, ScoreMeta(signature=signature)
    if primer is not None:
        primer, start = _begun(primer, asked.primer_bars)
        heading = ScoreMeta.of(primer.score, max(0.0, start - _LATEST))
        if asked.tempo is None:
            _check_tempos(primer)
    key = None if asked.key is None else Key.of(asked.key)
    heading = replace(heading, tempo=asked.tempo or heading.tempo, key=key or heading.key)
    beats = (asked.bars or _USUAL_BARS) * heading.quarters_per_bar
    if asked.seconds is not None:
        beats = asked.seconds * heading.tempo / 60
    scale = np.ones(12, np.bool_) if key is None else key.scale
    return Wish(
        heading, beats, primer, start, scale, asked.tempo, key,
        asked.temperature if asked.temperature > _COLDEST else 0.0,
        asked.top_p, asked.seed, asked.proposals or PROPOSALS,
    )  # fmt: skip


def _begun(primer: ScorePiece, bars: int | None) -> tuple[ScorePiece, float]:
    """The first bars of a primer, or all of it, and the quarters of these."""
    lines = bar_lines(primer.score, score_end(primer.score))
    if bars is None:
        return primer, lines[-1]
    if bars >= len(lines):
        raise UserError(
            "--primer-bars are bars of the primer.",
            f"{primer.name} has {len(lines) - 1}, not {bars}.",
            "Give fewer, or leave it out.",
        )
    return _first_beats(primer, lines[bars]), lines[bars]


def _check_tempos(primer: ScorePiece) -> None:
    wrong = [t.qpm for t in primer.score.tempos if not SLOWEST <= t.qpm <= FASTEST]
    if wrong:
        raise UserError(
            f"A tempo is from {SLOWEST} to {FASTEST} quarters a minute.",
            f"{primer.name} has {wrong[0]:.6g}.",
            "Give another one with --tempo.",
        )


def one_song(path: Path) -> ScorePiece:
    """The piece of a MIDI file, or the first tune of an ABC file.

    Raises:
        UserError: a folder, or no such piece.
    """
    if Path(path).is_dir():
        raise UserError("One piece is gone on with.", f"{path} is a folder.", "Give a MIDI file.")
    return read_scores(path)[0]


def _first_beats(song: ScorePiece, beats: float) -> ScorePiece:
    """The beginning of a piece, of so many quarters.

    Raises:
        UserError: there is no note in it.
    """
    score = song.score.clip(0, round(beats * song.score.ticks_per_quarter), clip_end=True)
    if not score.note_num():
        got = f"The first {beats:g} beats of {song.name} have none."
        raise UserError("A primer has notes.", got, "Give more --primer-bars, or leave them out.")
    return ScorePiece(song.name, score)


def notes_in(score: Any, steps_per_beat: int, start: float = 0.0) -> NoteArrays:
    """The notes of a score from a quarter on, drums left out, in steps; the voice of each is its track's number."""
    tracks = [(i, t.notes.numpy()) for i, t in enumerate(score.tracks) if not t.is_drum and len(t.notes)]
    nothing = [np.zeros(0, np.int64)]
    time, pitch, length = (
        np.concatenate([notes[name].astype(np.int64) for _, notes in tracks] or nothing)
        for name in ("time", "pitch", "duration")
    )
    voice = np.concatenate([np.full(len(notes["time"]), i) for i, notes in tracks] or nothing)
    later = time >= round(start * score.ticks_per_quarter)
    scale = steps_per_beat / score.ticks_per_quarter
    steps, lengths = (np.round(x[later] * scale).astype(np.int64) for x in (time, length))
    return NoteArrays.of(steps, pitch[later], lengths.clip(min=1), voice[later])


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
