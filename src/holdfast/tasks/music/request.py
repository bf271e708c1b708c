"""What a composition must be, whatever the model, and how scores are joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from holdfast._typing import Array
from holdfast.data.music.key_detection import Key
from holdfast.data.music.meta import DEFAULT_TIME_SIGNATURE, ScoreMeta, bar_lines, copy_meta, score_end
from holdfast.data.music.midi import ScorePiece, load_symusic, read_scores
from holdfast.data.music.novelty import NoteArrays
from holdfast.errors import UserError
from holdfast.tasks.music.config import FASTEST, SLOWEST, Prediction

if TYPE_CHECKING:
    from symusic.core import ScoreTick as Score
    from symusic.core import TrackTick as Track

_DEFAULT_BARS = 16
"""Bars to compose where no length is given."""
_COLDEST = 1e-6
"""Temperatures below it count as 0."""
_LATEST = 1e-3
"""Quarters before the end of a primer at which its tempo, key and signature are looked up."""


@dataclass(frozen=True)
class CompositionRequest:
    """What to compose.

    Attributes:
        meta: tempo, key and time signature of the new bars.
        beats: quarters to compose, after the primer where there is one.
        primer: piece to continue; None for a new one.
        start: quarters of the primer, up to the end of its last bar.
        scale: whether each pitch class may be composed [12].
        asked: the settings that ask for it.
    """

    meta: ScoreMeta
    beats: float
    primer: ScorePiece | None
    start: float
    scale: Array
    asked: Prediction

    @property
    def temperature(self) -> float:
        """Temperature of sampling, 0 where a division by it would overflow."""
        return self.asked.temperature if self.asked.temperature > _COLDEST else 0.0

    def with_meta(self, score: Score) -> Score:
        """Return the score with tempos, keys and time signatures; a primer keeps its own."""
        if self.primer is None:
            return self.meta.apply_to(score)
        end = self.start if self.beats else 0.0
        return copy_meta(score, self.primer.score, self.start, end, self.asked.tempo, _key(self.asked))

    @classmethod
    def of(
        cls, asked: Prediction, primer: ScorePiece | None, signature: tuple[int, int] = DEFAULT_TIME_SIGNATURE
    ) -> CompositionRequest:
        """Return what the settings ask for; the primer gives what they leave open.

        Args:
            asked: the settings.
            primer: piece to continue, or melody to harmonize.
            signature: time signature of a piece without a primer.

        Raises:
            UserError: the primer lacks what is asked of it, or is too slow or too fast.
        """
        start, meta = 0.0, ScoreMeta(signature=signature)
        if primer is not None:
            primer, start = _first_bars(primer, asked.primer_bars)
            meta = ScoreMeta.of(primer.score, max(0.0, start - _LATEST))
            if asked.tempo is None:
                _check_tempos(primer)
        key = _key(asked)
        meta = replace(meta, tempo=asked.tempo or meta.tempo, key=key or meta.key)
        beats = (asked.bars or _DEFAULT_BARS) * meta.quarters_per_bar
        if asked.seconds is not None:
            beats = asked.seconds * meta.tempo / 60
        if asked.harmonize is not None:  # the new voices sound with the melody, not after it
            beats = 0.0
        scale = np.ones(12, np.bool_) if key is None else key.scale
        return cls(meta, beats, primer, start, scale, asked)


def _key(asked: Prediction) -> Key | None:
    return None if asked.key is None else Key.of(asked.key)


def _first_bars(primer: ScorePiece, bars: int | None) -> tuple[ScorePiece, float]:
    """Return the first bars of a primer, or all of it, and their length in quarters."""
    lines = bar_lines(primer.score, score_end(primer.score))
    if bars is None:
        return primer, lines[-1]
    if bars >= len(lines):
        raise UserError(
            "--primer-bars must be at most the bars of the primer.",
            f"{primer.name} has {len(lines) - 1}, not {bars}.",
            "Give fewer, or leave it out.",
        )
    beats = lines[bars]
    score = primer.score.clip(0, round(beats * primer.score.ticks_per_quarter), clip_end=True)
    if not score.note_num():
        got = f"The first {beats:g} beats of {primer.name} have none."
        raise UserError("A primer must have notes.", got, "Give more --primer-bars, or leave it out.")
    return ScorePiece(primer.name, score), beats


def _check_tempos(primer: ScorePiece) -> None:
    wrong = [t.qpm for t in primer.score.tempos if not SLOWEST <= t.qpm <= FASTEST]
    if wrong:
        raise UserError(
            f"A tempo must be from {SLOWEST} to {FASTEST} quarters per minute.",
            f"{primer.name} has {wrong[0]:.6g}.",
            "Give another one with --tempo.",
        )


def read_piece(path: Path) -> ScorePiece:
    """Read the piece of a MIDI file, or the first tune of an ABC file.

    Raises:
        UserError: it is a folder, or has no piece.
    """
    if Path(path).is_dir():
        rule = "A primer or a melody must be a single file."
        raise UserError(rule, f"{path} is a folder.", "Give a MIDI file.")
    return read_scores(path)[0]


def notes_in(score: Score, steps_per_beat: int, start: float = 0.0) -> NoteArrays:
    """Return the notes of a score from a quarter on, without drums, in steps; voices are tracks."""
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


def merged(
    first: Score, then: Score, start: float, place: Callable[[Sequence[Track], int, Track], int | None]
) -> Score:
    """Return a score with the notes of another one from a quarter on.

    Args:
        first: score whose tracks stay as they are.
        then: score whose notes are added, on a track of the first one or on one of their own.
        start: quarter of the first score at which the other one begins.
        place: (tracks of the first score, number of a track, that track) -> number of the first
            score's track, or None.
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


def clipped(score: Score, beats: float) -> Score:
    """Return the score up to a quarter: later notes are left out, and longer ones end there."""
    end = round(beats * score.ticks_per_quarter)
    return score.clip(0, end, clip_end=True)
