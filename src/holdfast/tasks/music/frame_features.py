"""What is known of each frame of a piano roll: where in the bar it is, and what sounds in it."""

from __future__ import annotations

import numpy as np

from holdfast._typing import Array
from holdfast.data.music.piano_roll import LOWEST, Roll
from holdfast.insight.analysis.features import since


def label(place: int, steps: int, bar: int) -> str:
    """Where a frame is, from the bar and the beat, counted from 1.

    Args:
        place: number of the frame.
        steps: frames of a beat.
        bar: frames of a bar.

    Example:
        >>> label(0, 4, 16), label(22, 4, 16)
        ('bar 1, beat 1', 'bar 2, beat 2 + 2/4')
    """
    beat, rest = divmod(place % bar, steps)
    return f"bar {place // bar + 1}, beat {beat + 1}" + (f" + {rest}/{steps}" if rest else "")


def features(roll: Roll, steps: int, bar: int) -> dict[str, Array]:
    """Name -> [T] of a roll [T, K] that begins with a bar; pitches are MIDI's, NaN in silence.

    Example:
        >>> roll = np.zeros((3, 88), bool)
        >>> roll[:2, [39, 43]] = roll[2, 39] = True
        >>> found = features(roll, 1, 4)
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
