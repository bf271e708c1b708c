"""Features of time steps: the place in the piece, and what sounds there or the event says."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import nan

import numpy as np

from holdfast._typing import Array
from holdfast.data.music.key_detection import NAMES
from holdfast.data.music.piano_roll import LOWEST, Roll
from holdfast.data.music.remi import EventVocabulary, Ids
from holdfast.insight.analysis.features import since


def pitch_name(pitch: int) -> str:
    """Return the name of a MIDI pitch: 60 is C4."""
    return f"{NAMES[pitch % 12]}{pitch // 12 - 1}"


# -- frames of a piano roll ------------------------------------------------------------------------


def frame_label(place: int, steps: int, bar: int) -> str:
    """Return bar and beat of a frame, counted from 1.

    Args:
        place: number of the frame.
        steps: frames of a beat.
        bar: frames of a bar.

    Example:
        >>> frame_label(0, 4, 16), frame_label(22, 4, 16)
        ('bar 1, beat 1', 'bar 2, beat 2 + 2/4')
    """
    beat, rest = divmod(place % bar, steps)
    return f"bar {place // bar + 1}, beat {beat + 1}" + (f" + {rest}/{steps}" if rest else "")


def frame_features(roll: Roll, steps: int, bar: int) -> dict[str, Array]:
    """Return features [T] by name of a roll [T, K] from a bar on; MIDI pitches, NaN in silence.

    Example:
        >>> roll = np.zeros((3, 88), bool)
        >>> roll[:2, [39, 43]] = roll[2, 39] = True
        >>> found = frame_features(roll, 1, 4)
        >>> found["highest pitch"].tolist(), found["frames since the chord changed"].tolist()
        ([64.0, 64.0, 60.0], [1.0, 2.0, 1.0])
    """
    places = np.arange(len(roll))
    changed = np.concatenate([[True], (roll[1:] != roll[:-1]).any(1)])
    count = roll.sum(1).astype(np.float64)
    pitches = np.where(roll, np.arange(roll.shape[1]) + float(LOWEST), np.nan)
    sounding = count > 0
    found = {name: np.full(len(roll), np.nan) for name in ("mean pitch", "highest pitch", "lowest pitch")}
    found["mean pitch"][sounding] = np.nanmean(pitches[sounding], 1)
    found["highest pitch"][sounding] = np.nanmax(pitches[sounding], 1)
    found["lowest pitch"][sounding] = np.nanmin(pitches[sounding], 1)
    return {
        "position in the piece": places + 1.0,
        "position in the bar": places % bar / steps,
        "position in the beat": places % steps / steps,
        "number of notes": count,
        **found,
        "change of the chord": changed.astype(np.float64),
        "frames since the chord changed": since(changed),
    }


# -- events ----------------------------------------------------------------------------------------

_KINDS = {
    "Bar": "bar token", "Position": "position token", "Program": "voice token", "Pitch": "pitch token",
    "Velocity": "velocity token", "Duration": "length token",
}  # fmt: skip
"""Beginning of an event's name -> the feature that marks such events."""


@dataclass
class _Place:
    """Where a piece is after some events, and the numbers of the last note."""

    bar: int = 0
    beat: float = 0.0
    notes: int = 0
    last: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("pitch", "velocity", "length"), nan)
    )

    def advance(self, kind: str, value: str, steps: int) -> str:
        """Move on by an event, and return its label."""
        match kind:
            case "Bar":
                self.bar, self.beat, self.notes = self.bar + 1, 0.0, 0
                return f"bar {self.bar}"
            case "Position":
                self.beat, self.notes = int(value) / steps, 0
                beat, rest = divmod(int(value), steps)
                return f"beat {beat + 1}" + (f" + {rest}/{steps}" if rest else "")
            case "Pitch":
                self.last["pitch"], self.notes = float(value), self.notes + 1
                return pitch_name(int(value))
            case "Velocity":
                self.last["velocity"] = float(value)
                return f"velocity {value}"
            case "Duration":
                whole, part, of = map(int, value.split("."))
                self.last["length"] = whole + part / of
                return f"{self.last['length']:g} beat" + "s" * (self.last["length"] != 1)
        return {"TimeSig": value, "PitchDrum": f"drum {value}", "EOS": "begin"}.get(kind, f"{kind} {value}")


def event_features(ids: Ids, vocabulary: EventVocabulary) -> tuple[list[str], dict[str, Array]]:
    """Return labels [T] and features [T] by name of some events; the end is ``begin``.

    Pitch, velocity and length are those of the last note; NaN before the first.
    """
    place, labels, rows = _Place(), list[str](), list[list[float]]()
    for number in ids:
        kind, _, value = vocabulary.names[int(number)].partition("_")
        label = place.advance(kind, value, vocabulary.steps)
        labels.append(_voice(int(value), vocabulary) if kind == "Program" else label)
        flags = [float(kind == own) for own in _KINDS]
        rows.append([place.bar, place.beat, place.notes, *place.last.values(), *flags])
    names = ["bar", "position in the bar", "notes at this position", *place.last, *_KINDS.values()]
    return labels, dict(zip(names, np.array(rows, np.float64).T, strict=True))


def _voice(number: int, vocabulary: EventVocabulary) -> str:
    if number < 0:
        return "drums"
    voice = vocabulary.voices[number]
    return voice.name or f"program {voice.program}"
