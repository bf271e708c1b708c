"""Tempo, key signature and time signature of a score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast.data.music.key_detection import Key
from holdfast.data.music.midi import load_symusic, replace_list

if TYPE_CHECKING:
    from symusic.core import KeySignatureTick
    from symusic.core import ScoreTick as Score

_USUAL_TEMPO = 120.0
"""Quarter notes per minute without a tempo event, as the MIDI standard defines."""
DEFAULT_TIME_SIGNATURE = (4, 4)


@dataclass(frozen=True)
class ScoreMeta:
    """The tempo and the signatures at one point of a score.

    Attributes:
        tempo: quarter notes per minute.
        key: key signature, if there is one.
        signature: time signature: beats per bar, and the note value of a beat.
    """

    tempo: float = _USUAL_TEMPO
    key: Key | None = None
    signature: tuple[int, int] = DEFAULT_TIME_SIGNATURE

    @property
    def quarters_per_bar(self) -> float:
        """Quarter notes per bar."""
        return 4 * self.signature[0] / self.signature[1]

    def apply_to(self, score: Score) -> Score:
        """Replace the tempos and signatures of a score; return the score."""
        symusic, unit = load_symusic(), "tick"
        replace_list(score, "tempos", [symusic.Tempo(0, self.tempo, ttype=unit)])
        replace_list(score, "time_signatures", [symusic.TimeSignature(0, *self.signature, ttype=unit)])
        replace_list(score, "key_signatures", [] if self.key is None else [_signature(0, self.key)])
        return score

    @classmethod
    def of(cls, score: Score, quarter: float = 0.0) -> ScoreMeta:
        """Return what holds at a quarter note of a score; else its first values, or 120, 4/4."""
        ticks = quarter * score.ticks_per_quarter
        tempo = _in_force(score.tempos, ticks)
        key = _in_force([k for k in score.key_signatures if abs(k.key) <= 7], ticks)
        bar = _in_force(score.time_signatures, ticks)
        return cls(
            _USUAL_TEMPO if tempo is None else round(tempo.qpm, 3),
            None if key is None else Key(int(key.key), bool(key.tonality)),
            DEFAULT_TIME_SIGNATURE if bar is None else (bar.numerator, bar.denominator),
        )


def _signature(time: int, key: Key) -> KeySignatureTick:
    signature: KeySignatureTick = load_symusic().KeySignature(time, key.sharps, int(key.minor), ttype="tick")
    return signature


def _in_force(changes: Iterable[Any], ticks: float) -> Any:
    """Return the last change up to a time, else the first change, else None."""
    ordered = sorted(changes, key=lambda change: change.time)
    return next((change for change in reversed(ordered) if change.time <= ticks), next(iter(ordered), None))


def copy_meta(
    score: Score, source: Score, until: float, since: float, tempo: float | None, key: Key | None
) -> Score:
    """Copy the tempos and signatures of the score that another score continues; return the latter.

    Args:
        score: the continued score, with the same ticks.
        source: the score to copy from.
        until: quarter note after which changes are not copied.
        since: quarter note from which ``key`` holds.
        tempo: a tempo for the whole score instead of the copied ones.
        key: a requested key.
    """
    whole, symusic = source.ticks_per_quarter, load_symusic()
    for name in ("tempos", "time_signatures", "key_signatures"):
        end = whole * (since if name == "key_signatures" and key is not None else until)
        replace_list(score, name, [change for change in getattr(source, name) if change.time < end])
    if tempo is not None or not score.tempos:
        replace_list(score, "tempos", [symusic.Tempo(0, tempo or _USUAL_TEMPO, ttype="tick")])
    if not score.time_signatures:
        replace_list(
            score, "time_signatures", [symusic.TimeSignature(0, *DEFAULT_TIME_SIGNATURE, ttype="tick")]
        )
    if key is not None:
        score.key_signatures.append(_signature(round(since * whole), key))
    return score


def score_end(score: Score) -> float:
    """Return the quarter notes up to the end of the last note."""
    tracks = [track.notes.numpy() for track in score.tracks if len(track.notes)]
    ends = [int((notes["time"] + notes["duration"]).max()) for notes in tracks]
    return max(ends, default=0) / float(score.ticks_per_quarter)


def bar_lines(score: Score, quarters: float) -> list[float]:
    """Return the bar lines, in quarter notes, up to the first one at or after ``quarters``."""
    found = [0.0]
    while found[-1] < quarters - 1e-6:
        change = _in_force(score.time_signatures, found[-1] * score.ticks_per_quarter + 1e-6)
        signature = DEFAULT_TIME_SIGNATURE if change is None else (change.numerator, change.denominator)
        found.append(found[-1] + ScoreMeta(signature=signature).quarters_per_bar)
    return found


def seconds_of(score: Score, quarters: float) -> float:
    """Return the duration of the first quarter notes, with all tempo changes.

    Example:
        >>> from holdfast.data.music.midi import load_symusic, replace_list
        >>> score = ScoreMeta(60).apply_to(load_symusic().Score(480))
        >>> score.tempos.append(load_symusic().Tempo(960, 120, ttype="tick"))
        >>> seconds_of(score, 4)
        3.0
    """
    changes: Sequence[tuple[float, float]] = sorted(
        (change.time / score.ticks_per_quarter, change.qpm) for change in score.tempos
    )
    total, at, tempo = 0.0, 0.0, _USUAL_TEMPO
    for quarter, following in [*((q, t) for q, t in changes if q < quarters), (quarters, 1.0)]:
        total, at, tempo = total + (quarter - at) * 60 / tempo, quarter, following
    return total
