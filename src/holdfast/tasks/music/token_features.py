"""What is known of each token of a piece as events: what it says, and where in the bar it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import nan

import numpy as np

from holdfast._typing import Array
from holdfast.data.music.remi import EventVocabulary, Ids
from holdfast.tasks.music.plots import pitch_name

KINDS = {
    "Bar": "bar token", "Position": "position token", "Program": "voice token", "Pitch": "pitch token",
    "Velocity": "velocity token", "Duration": "length token",
}  # fmt: skip
"""Beginning of an event's name -> the feature that says that it is one."""


@dataclass
class Place:
    """Where a piece is after some events, and the last note's numbers."""

    bar: int = 0
    beat: float = 0.0
    notes: int = 0
    last: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("pitch", "velocity", "length"), nan)
    )

    def after(self, kind: str, value: str, steps: int) -> str:
        """Go on by an event; gives what it says, in words."""
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


def read(ids: Ids, vocabulary: EventVocabulary) -> tuple[list[str], dict[str, Array]]:
    """Labels [T] and features, name -> [T], of some events; the end's, which stands before a piece too, is its begin.

    Pitch, velocity and length are those of the last note; NaN before the first.
    """
    place, labels, rows = Place(), list[str](), list[list[float]]()
    for number in ids:
        kind, _, value = vocabulary.names[int(number)].partition("_")
        label = place.after(kind, value, vocabulary.steps)
        labels.append(_voice(int(value), vocabulary) if kind == "Program" else label)
        flags = [float(kind == own) for own in KINDS]
        rows.append([place.bar, place.beat, place.notes, *place.last.values(), *flags])
    names = ["bar", "position in the bar", "notes at this position", *place.last, *KINDS.values()]
    return labels, dict(zip(names, np.array(rows, np.float64).T, strict=True))


def _voice(number: int, vocabulary: EventVocabulary) -> str:
    if number < 0:
        return "drums"
    voice = vocabulary.voices[number]
    return voice.name or f"program {voice.program}"
